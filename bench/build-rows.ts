/**
 * Builds: the same Dockerfile and context on both engines, the peer by the docker CLI (its classic builder), we by our own CLI and by the same docker CLI. Both engines live where the other rows'
 * engines do. What is measured without a cache is built with --no-cache each time; images are untagged, and removed at the end of a row.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { shell } from '../test/harness/command.ts';
import type { GantryDaemon } from '../test/harness/gantry.ts';
import type { Peer } from '../test/harness/peer.ts';
import { compare, root, selected, succeed } from './measure.ts';

interface Engines {
  readonly gantry: GantryDaemon;
  readonly peer: Peer;
}

interface BuildRow {
  readonly name: string;
  readonly aim: number | null;
  readonly samples: number;
  /** Of the context: path → content; a number is so many bytes of noise. */
  readonly files: () => Readonly<Record<string, string | number>>;
  readonly arguments?: readonly string[];
  /** Before each round, in the context. */
  readonly change?: (directory: string, round: number) => void;
}

const coldAim = 1 / 1.5;
const cachedAim = 1 / 3;

const application = () => ({
  Dockerfile: `FROM busybox AS base
ENV APP=/app
WORKDIR /app
COPY package.txt .
RUN for i in $(seq 200); do echo "dependency $i" > /app/dependency-$i; done
FROM base AS build
COPY src ./src
RUN mkdir out && for f in src/*; do cat $f | tr a-z A-Z > out/$(basename $f); done
FROM base
COPY --from=build /app/out ./out
RUN chown -R 1000 out
USER 1000
LABEL kind=bench
EXPOSE 80
CMD ["cat", "/app/out/1"]
`,
  'package.txt': 'dependencies\n',
  ...Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`src/${index}`, `file ${index}\n`.repeat(200)])),
});

const stages = () => ({
  Dockerfile: `${['a', 'b', 'c', 'd'].map((name) => `FROM busybox AS ${name}\nRUN sleep 1 && echo ${name} > /${name}\n`).join('')}FROM busybox
COPY --from=a /a /
COPY --from=b /b /
COPY --from=c /c /
COPY --from=d /d /
`,
});

const rows: readonly BuildRow[] = [
  { name: 'cold: 3 stages, 3 RUNs, 200 files', aim: coldAim, samples: 5, files: application, arguments: ['--no-cache'] },
  { name: 'all steps cached', aim: cachedAim, samples: 15, files: application },
  {
    name: 'one file of 200 changed',
    aim: null,
    samples: 7,
    files: application,
    change: (directory, round) => writeFileSync(join(directory, 'src/7'), `changed ${round} ${Date.now()}\n`),
  },
  { name: 'four independent stages of a second each', aim: null, samples: 3, files: stages, arguments: ['--no-cache'] },
  {
    name: 'context of 20,000 files',
    aim: coldAim,
    samples: 3,
    files: () => ({
      Dockerfile: 'FROM busybox\nCOPY . /all\n',
      ...Object.fromEntries(
        Array.from({ length: 20_000 }, (_, index) => [`d${index % 200}/f${index}`, `content of ${index}\n`.repeat(20)]),
      ),
    }),
    arguments: ['--no-cache'],
  },
  {
    name: 'context of 500 MB',
    aim: coldAim,
    samples: 3,
    files: () => ({
      Dockerfile: 'FROM busybox\nCOPY . /all\n',
      ...Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`big${i}`, 50_000_000])),
    }),
    arguments: ['--no-cache'],
  },
];

const exportName = 'build: an image of 100 MB as a compressed archive';
export const buildRowNames = [...rows.flatMap(({ name }) => [ownName(name), sameName(name)]), exportName];

function ownName(name: string): string {
  return `build: ${name}`;
}

function sameName(name: string): string {
  return `build: ${name}, docker CLI on both`;
}

export async function buildRows({ gantry, peer }: Engines): Promise<void> {
  if (!buildRowNames.some(selected)) return;
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-build-'));
  try {
    for (const row of rows) await buildRow(row, join(directory, 'context'), { gantry, peer });
    await exportRow(join(directory, 'export'), { gantry, peer });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function buildRow(row: BuildRow, directory: string, engines: Engines): Promise<void> {
  if (!selected(ownName(row.name)) && !selected(sameName(row.name))) return;
  write(directory, row.files());
  const given = ['--quiet', ...(row.arguments ?? []), directory];
  const docker = (host: string) => succeed(['env', 'DOCKER_BUILDKIT=0', 'docker', '-H', host, 'build', ...given]);
  const own = () => succeed([`${root}gantry`, '-H', engines.gantry.host, 'build', ...given]);
  let round = 0;
  const prepare = async () => row.change?.(directory, round++);
  const peer = () => docker(engines.peer.host);
  await compare(ownName(row.name), row.aim, row.samples, { ours: own, peer, prepare });
  await compare(sameName(row.name), null, row.samples, { ours: () => docker(engines.gantry.host), peer, prepare });
  rmSync(directory, { recursive: true, force: true });
  for (const { host } of [engines.gantry, engines.peer])
    await shell(`docker -H ${host} image prune -f >/dev/null; docker -H ${host} builder prune -af >/dev/null 2>&1`);
}

/** A build whose steps are cached to a compressed OCI archive; the peer's way there is `docker save | gzip`. */
async function exportRow(directory: string, { gantry, peer }: Engines): Promise<void> {
  if (!selected(exportName)) return;
  write(directory, { Dockerfile: 'FROM busybox\nCOPY text /\n', text: 'a line of text that can be made smaller\n'.repeat(2_500_000) });
  for (const { host } of [gantry, peer])
    await succeed(['env', 'DOCKER_BUILDKIT=0', 'docker', '-H', host, 'build', '-q', '-t', 'bench-export', directory]);
  const file = join(directory, '..', 'export.tar');
  await compare(exportName, null, 5, {
    ours: () => succeed([`${root}gantry`, '-H', gantry.host, 'build', '-q', '-o', `type=oci,dest=${file},compression=gzip`, directory]),
    peer: () =>
      succeed([
        'sh',
        '-c',
        `DOCKER_BUILDKIT=0 docker -H ${peer.host} build -q -t bench-export ${directory} && docker -H ${peer.host} save bench-export | gzip > ${file}`,
      ]),
  });
  for (const { host } of [gantry, peer]) await shell(`docker -H ${host} rmi -f bench-export >/dev/null`);
}

function write(directory: string, files: Readonly<Record<string, string | number>>): void {
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : noise(content));
  }
}

/** Bytes that no compression makes smaller; the same ones each time. */
function noise(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  let state = 0x9e3779b9;
  for (let index = 0; index + 4 <= bytes; index += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    buffer.writeInt32LE(state | 0, index);
  }
  return buffer;
}
