/**
 * Images over the wire: pull and push from and to the same Debian docker-registry, load and save, and the engine's peak memory meanwhile. Both engines are driven by
 * the docker CLI and live in one network namespace with the registry. What was pulled is removed before each round, and each push goes to an empty registry.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RegistryContent } from '../test/harness/fault-registry/registry-content.ts';
import { type GantryDaemon, startGantry } from '../test/harness/gantry.ts';
import { familyOf, type Peer } from '../test/harness/peer.ts';
import { addImage, debianLayer, noiseLayers } from '../test/harness/registry-images.ts';
import { debianRegistryMissing, type RegistryProcess, startDebianRegistry } from '../test/harness/registry-process.ts';
import { readOrEmpty } from '../test/harness/tolerant-read.ts';
import { compare, median, record, selected, succeed } from './measure.ts';

type Side = 'ours' | 'peer';

interface Bench {
  readonly engines: Readonly<Record<Side, Engine>>;
  /** Has the images. */
  readonly registry: RegistryProcess;
  /** `nsenter …`: into the network of both engines. */
  readonly wrapper: readonly string[];
  readonly directory: string;
}

interface Engine {
  readonly host: string;
  pids(): readonly number[];
}

interface Subject {
  /** Of the row's name. */
  readonly title: string;
  /** `repository:tag` */
  readonly image: string;
  readonly samples: number;
}

const debian: Subject = { title: 'the 170 MB Debian image', image: 'debian:minbase', samples: 5 };
const many: Subject = { title: 'an image of 40 layers, 1 MB each', image: 'many:latest', samples: 7 };
const verbs = ['pull', 'push', 'load', 'save'] as const;

export const imageRowNames = [debian, many].flatMap(({ title }) => verbs.map((verb) => nameOf(verb, title)));

function nameOf(verb: (typeof verbs)[number], title: string): string {
  const way = verb === 'pull' ? ' from a local registry' : verb === 'push' ? ' to a local registry' : '';
  return `${verb} ${title}${way}`;
}

export async function imageRows(peer: Peer): Promise<void> {
  if (!imageRowNames.some(selected)) return;
  const missing = debianRegistryMissing();
  if (missing !== null) return console.error(`image rows: ${missing}`);
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-'));
  const wrapper = ['nsenter', '--target', String(peer.pids()[0]), '--net'];
  const storage = join(directory, 'images');
  await seed(storage);
  // That network has the peer's bridge already.
  const gantry = await startGantry({ bundled: true, wrapper, flags: ['--bridge', 'none'] });
  const registry = await startDebianRegistry({ wrapper, storage });
  try {
    const engines = { ours: engineOf(gantry), peer: { host: peer.host, pids: () => peer.pids() } };
    for (const subject of [debian, many]) await rowsOf({ engines, registry, wrapper, directory }, subject);
  } finally {
    await gantry.dispose();
    await registry.dispose();
    rmSync(directory, { recursive: true, force: true });
  }
}

function engineOf({ host, pid }: GantryDaemon): Engine {
  return { host, pids: () => familyOf(pid) };
}

/** By a registry in this network; the one that is measured takes its storage over. */
async function seed(storage: string): Promise<void> {
  const content = new RegistryContent();
  const layer = await debianLayer();
  if (layer === null) throw new Error("needs mmdebstrap and Debian's packages");
  addImage(content, 'debian', 'minbase', { layers: [layer], flavour: 'docker' });
  addImage(content, 'many', 'latest', { layers: noiseLayers(40, 1_000_000), flavour: 'docker' });
  await (await startDebianRegistry({ content, storage })).dispose();
}

async function rowsOf(bench: Bench, subject: Subject): Promise<void> {
  const chosen = verbs.filter((verb) => selected(nameOf(verb, subject.title)));
  const rowOf = { pull: pullRow, push: pushRow, load: loadRow, save: saveRow } as const;
  for (const verb of chosen) {
    await rowOf[verb](bench, subject, `${bench.registry.host}/${subject.image}`);
    for (const { host } of Object.values(bench.engines)) await removeAll(host);
  }
}

async function pullRow(bench: Bench, { title, samples }: Subject, image: string): Promise<void> {
  const run = (side: Side) => docker(bench.engines[side].host, 'pull', '-q', image);
  await measured(bench, nameOf('pull', title), samples, run, (side) => removeAll(bench.engines[side].host));
}

async function pushRow(bench: Bench, { title, image, samples }: Subject, from: string): Promise<void> {
  for (const { host } of Object.values(bench.engines)) await docker(host, 'pull', '-q', from);
  let target: RegistryProcess | null = null;
  const emptyRegistry = async (side: Side): Promise<void> => {
    await target?.dispose();
    target = await startDebianRegistry({ wrapper: bench.wrapper });
    await docker(bench.engines[side].host, 'tag', from, `${target.host}/${image}`);
  };
  const run = (side: Side) => docker(bench.engines[side].host, 'push', '-q', `${target?.host}/${image}`);
  await measured(bench, nameOf('push', title), samples, run, emptyRegistry);
  await (target as RegistryProcess | null)?.dispose();
}

/** What the peer saved of the image. */
async function archiveOf({ engines, directory }: Bench, image: string): Promise<string> {
  const path = join(directory, 'archive.tar');
  await docker(engines.peer.host, 'pull', '-q', image);
  await docker(engines.peer.host, 'save', '-o', path, image);
  return path;
}

async function loadRow(bench: Bench, { title, samples }: Subject, image: string): Promise<void> {
  const archive = await archiveOf(bench, image);
  const run = (side: Side) => docker(bench.engines[side].host, 'load', '-q', '-i', archive);
  await measured(bench, nameOf('load', title), samples, run, (side) => removeAll(bench.engines[side].host));
}

async function saveRow(bench: Bench, { title, samples }: Subject, image: string): Promise<void> {
  const archive = await archiveOf(bench, image);
  for (const { host } of Object.values(bench.engines)) await docker(host, 'load', '-q', '-i', archive);
  // Not to a file, whose writing would be measured with it.
  const run = (side: Side) => succeed(['/bin/sh', '-c', `docker -H ${bench.engines[side].host} save ${image} >/dev/null`]);
  await measured(bench, nameOf('save', title), samples, run);
}

/** Time and peak memory of the same rounds. */
async function measured(
  { engines }: Bench,
  name: string,
  samples: number,
  run: (side: Side) => Promise<unknown>,
  prepare: (side: Side) => Promise<unknown> = async () => undefined,
): Promise<void> {
  if (!selected(name)) return;
  const peaks: Record<Side, number[]> = { ours: [], peer: [] };
  const round = async (side: Side): Promise<void> => {
    await run(side);
    peaks[side].push(peakMegabytes(engines[side].pids()));
  };
  await compare(name, null, samples, {
    ours: () => round('ours'),
    peer: () => round('peer'),
    prepare: async (side) => {
      await prepare(side);
      for (const pid of engines[side].pids()) writeFileSync(`/proc/${pid}/clear_refs`, '5');
    },
  });
  const peak = (side: Side) => median(peaks[side].slice(1));
  record(`${name}: peak memory of the engine`, { unit: 'MB', ours: peak('ours'), peer: peak('peer'), samples });
}

/** Of the processes that are there all the time; what the peer starts to unpack a layer is not counted against it. */
function peakMegabytes(pids: readonly number[]): number {
  const kilobytes = pids.map((pid) => Number(/^VmHWM:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0));
  return kilobytes.reduce((sum, one) => sum + one, 0) / 1024;
}

async function removeAll(host: string): Promise<void> {
  const images = (await docker(host, 'image', 'ls', '--no-trunc', '-q')).split('\n').filter((id) => id !== '');
  if (images.length > 0) await docker(host, 'image', 'rm', '-f', ...new Set(images));
}

function docker(host: string, ...args: readonly string[]): Promise<string> {
  return succeed(['docker', '-H', host, ...args]);
}
