/**
 * FAULT "daemon SIGKILLed while an image is loaded or removed": afterwards the image is whole or absent, nothing half-made is on the disk, and loading it
 * (again) gives the same image.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';
import { engineRequest } from './engine-request.ts';

export const bigImage = 'big:latest';
const filesInEach = 400;

/** A docker-archive of two layers that do not compress, `megabytes` in all, with a program that checks them. */
export async function bigArchive(directory: string, megabytes: number): Promise<string> {
  const path = `${directory}/big-${megabytes}.tar`;
  const bytes = Math.floor((megabytes * 1024 * 1024) / 2 / filesInEach);
  const made = await shell(
    `set -e
    work=${directory}/big; mkdir -p $work/out; digests=; names=
    for layer in 1 2; do
      root=$work/root$layer; mkdir -p $root/data$layer $root/bin
      head -c ${bytes * filesInEach} /dev/urandom | split -a 4 -b ${bytes} - $root/data$layer/f
      [ $layer = 2 ] || { cp /bin/busybox $root/bin/busybox; for applet in sh cat find sha256sum; do ln $root/bin/busybox $root/bin/$applet; done; }
      tar -C $root --sort=name --mtime=@1700000000 --owner=0 --group=0 -cf $work/layer.tar .
      digest=$(sha256sum $work/layer.tar | cut -d' ' -f1); mkdir $work/out/$digest; mv $work/layer.tar $work/out/$digest/layer.tar; rm -r $root
      digests="$digests\${digests:+,}\\"sha256:$digest\\""; names="$names\${names:+,}\\"$digest/layer.tar\\""
    done
    printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"],"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":[%s]},"history":[]}' "$digests" >$work/config.json
    config=$(sha256sum $work/config.json | cut -d' ' -f1); mv $work/config.json $work/out/$config.json
    printf '[{"Config":"%s.json","RepoTags":["${bigImage}"],"Layers":[%s]}]' $config "$names" >$work/out/manifest.json
    tar -C $work/out -cf ${path} . ; rm -r $work`,
    { timeoutMs: 120_000 },
  );
  assert.equal(made.status, 0, made.stderr);
  return path;
}

/** `afterMs`: how long the load, or the removal after a load, may go on. */
export async function crashDuringLoad(daemon: GantryDaemon, archive: string, afterMs: number): Promise<void> {
  await crashDuring(daemon, afterMs, ['load', '-q', '-i', archive]);
  await checkWhole(daemon, archive);
}

export async function crashDuringRemoval(daemon: GantryDaemon, archive: string, afterMs: number): Promise<void> {
  await succeed(docker(daemon, 'load', '-q', '-i', archive));
  await crashDuring(daemon, afterMs, ['rmi', bigImage]);
  await checkWhole(daemon, archive);
}

async function crashDuring(daemon: GantryDaemon, afterMs: number, command: readonly string[]): Promise<void> {
  const running = docker(daemon, ...command);
  await delay(afterMs);
  await daemon.crash();
  const acknowledged = (await running).status === 0;
  await daemon.restart();
  const there = (await engineRequest(daemon.host, 'GET', `/images/${bigImage}/json`))?.status === 200;
  if (acknowledged) assert.equal(there, command[0] === 'load', `docker ${command[0]} was acknowledged, then undone by a crash`);
  assert.deepEqual(await halfMade(daemon), [], `half-made things after docker ${command[0]} was killed`);
  if (there) await checkFiles(daemon);
  else assert.deepEqual(layersAndBlobs(daemon), [], 'an image that is not there keeps its layers or blobs');
}

/** Loads it (again), runs it, removes it: nothing stays. */
async function checkWhole(daemon: GantryDaemon, archive: string): Promise<void> {
  await succeed(docker(daemon, 'load', '-q', '-i', archive));
  await checkFiles(daemon);
  await succeed(docker(daemon, 'rmi', bigImage));
  assert.deepEqual([...(await halfMade(daemon)), ...layersAndBlobs(daemon)], [], 'a removed image leaves layers or blobs');
}

/** Every file of both layers is there and readable. */
async function checkFiles(daemon: GantryDaemon): Promise<void> {
  const script = 'find /data1 /data2 -type f | while read f; do cat $f >/dev/null || exit 3; echo x; done';
  const shown = await succeed(docker(daemon, 'run', '--rm', '--network', 'none', bigImage, 'sh', '-c', script));
  assert.equal(shown.stdout.length, 2 * 2 * filesInEach, 'files of the image are missing');
}

/** A worker thread removes what a crash left, beside everything else. */
async function halfMade({ dataRoot }: GantryDaemon): Promise<readonly string[]> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const left = [...listOrEmpty(`${dataRoot}/blobs/tmp`), ...listOrEmpty(`${dataRoot}/layers`).filter((name) => name.startsWith('tmp-'))];
    if (left.length === 0 || Date.now() > deadline) return left;
    await delay(50);
  }
}

/** Beside the init layer, which stands under every container; `l` holds a short link to each layer. */
export function layersAndBlobs({ dataRoot }: GantryDaemon): readonly string[] {
  const layers = listOrEmpty(`${dataRoot}/layers`).filter((name) => !/^(init-.*|tmp-.*|l)$/.test(name));
  return [...layers, ...listOrEmpty(`${dataRoot}/layers/l`).slice(1), ...listOrEmpty(`${dataRoot}/blobs/sha256`)];
}

async function succeed(running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  assert.equal(result.status, 0, result.stderr);
  return result;
}

function docker({ host }: GantryDaemon, ...args: readonly string[]): Promise<CommandResult> {
  return runCommand(['docker', '-H', host, ...args], { timeoutMs: 120_000 });
}
