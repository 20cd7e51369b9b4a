/**
 * FAULT "daemon SIGKILLed while an image is built": afterwards there is the whole image or none, nothing of the build runs or is mounted, and the next build goes through and gives the same image,
 * whatever the cache has by then.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { residueOf } from '../faults/residue.ts';
import { type CommandResult, runCommand } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';

const tag = 'crashed:latest';

const dockerfile = `FROM busybox AS one
WORKDIR /one
COPY files ./files
RUN cat files/* > all && sleep 0.2 && echo one > /one/out
FROM busybox AS two
RUN --mount=type=cache,target=/cache mkdir /two && echo cached >> /cache/log && sleep 0.3 && rm -rf /tmp/gone && echo two > /two/out
FROM busybox
COPY --from=one /one /one
COPY --from=two /two /two
RUN --mount=type=bind,from=one,source=/one,target=/mnt/one cat /mnt/one/out /two/out > /both && rm /one/files/1
ENV DONE=yes
CMD ["cat", "/both"]
`;

export interface CrashSubject {
  readonly context: string;
  /** What every build of it must give. */
  readonly image: string;
  /** What was there before the first kill. */
  readonly residue: ReadonlySet<string>;
}

export async function prepareCrashes(daemon: GantryDaemon): Promise<CrashSubject> {
  const context = join(daemon.directory, 'crash-context');
  mkdirSync(join(context, 'files'), { recursive: true });
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  for (let index = 0; index < 300; index++) writeFileSync(join(context, 'files', String(index)), `file ${index}\n`.repeat(2000));
  const image = await built(daemon, context);
  await succeed(docker(daemon, 'rmi', tag));
  return { context, image, residue: new Set(await residueOf(daemon, 0)) };
}

/** A whole build takes about a second; `failpoint` instead of a time: it dies there by itself. */
export async function crashDuringBuild(
  daemon: GantryDaemon,
  subject: CrashSubject,
  when: number | { readonly failpoint: string },
): Promise<void> {
  await succeed(docker(daemon, 'builder', 'prune', '-af'));
  if (typeof when !== 'number') {
    await daemon.crash();
    await daemon.restart(when.failpoint);
  }
  const running = build(daemon, subject.context);
  if (typeof when === 'number') {
    await delay(when);
    await daemon.crash();
  } else {
    await daemon.died();
  }
  const acknowledged = (await running).status === 0;
  await daemon.restart();
  const found = (await docker(daemon, 'image', 'inspect', '-f', '{{.Id}}', tag)).stdout.trim();
  if (acknowledged) assert.equal(found, subject.image, 'a build was acknowledged, then undone by a crash');
  if (found !== '') assert.equal(found, subject.image, 'half an image has the tag');
  assert.deepEqual(await leftOf(daemon, subject), [], 'left behind by the build that was killed');
  assert.equal(await built(daemon, subject.context), subject.image, 'the next build gives another image');
  const shown = await succeed(docker(daemon, 'run', '--rm', '--network', 'none', tag));
  assert.equal(shown.stdout, 'one\ntwo\n');
  await succeed(docker(daemon, 'rmi', tag));
}

async function built(daemon: GantryDaemon, context: string): Promise<string> {
  await succeed(build(daemon, context));
  return (await succeed(docker(daemon, 'image', 'inspect', '-f', '{{.Id}}', tag))).stdout.trim();
}

/** Processes, mounts, cgroups, interfaces; and directories of builds that no longer run. */
async function leftOf(daemon: GantryDaemon, { residue }: CrashSubject): Promise<readonly string[]> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const fresh = (await residueOf(daemon, 0)).filter((what) => !residue.has(what));
    const directories = ['tmp', 'steps'].flatMap((name) =>
      listOrEmpty(`${daemon.dataRoot}/build/${name}`).map((each) => `build/${name}/${each}`),
    );
    // What scratch is read as: always there.
    const made = directories.filter((path) => path !== 'build/tmp/empty');
    const layers = listOrEmpty(`${daemon.dataRoot}/layers`).filter((name) => name.startsWith('tmp-'));
    const left = [...fresh, ...made, ...layers, ...listOrEmpty(`${daemon.dataRoot}/blobs/tmp`)];
    if (left.length === 0 || Date.now() > deadline) return left;
    await delay(50);
  }
}

function build(daemon: GantryDaemon, context: string): Promise<CommandResult> {
  return docker(daemon, 'build', '-q', '-t', tag, context);
}

async function succeed(running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  assert.equal(result.status, 0, result.stderr);
  return result;
}

function docker({ host }: GantryDaemon, ...args: readonly string[]): Promise<CommandResult> {
  return runCommand(['docker', '-H', host, ...args], { timeoutMs: 120_000, env: { ...process.env, DOCKER_BUILDKIT: '0' } });
}
