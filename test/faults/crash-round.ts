/**
 * One round of FAULT "daemon SIGKILLed while containers write, run and exit": containers are created and started while the daemon is killed at a random moment;
 * after the restart every acknowledged start must have ended, or end, with its own exit code and every line it wrote, and nothing may be left behind.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandResult, runCommand } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';

export const linesWritten = 400;

/** Deterministic, so that a failing round can be repeated from its seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

interface Started {
  readonly name: string;
  readonly exitCode: number;
  readonly acknowledged: Promise<boolean>;
}

export async function crashRound(daemon: GantryDaemon, seed: number): Promise<void> {
  const random = randomFrom(seed);
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args], { timeoutMs: 60_000 });
  const containers: Started[] = [];
  for (let index = 0; index < 5; index++) {
    const [name, exitCode] = [`crash-${seed}-${index}`, 1 + Math.floor(random() * 120)];
    const pause = random() < 0.5 ? '' : 'usleep 1000;';
    const script = `i=0; while [ $i -lt ${linesWritten} ]; do i=$((i+1)); echo line $i; ${pause} done; exit ${exitCode}`;
    const created = await docker('create', '--name', name, '--network', 'none', 'busybox', 'sh', '-c', script);
    assert.equal(created.status, 0, created.stderr);
    containers.push({ name, exitCode, acknowledged: delay(random() * 150).then(async () => (await docker('start', name)).status === 0) });
  }
  await delay(random() * 500);
  await daemon.crash();
  await delay(random() * 400);
  await daemon.restart();
  for (const container of containers) await checkEnd(docker, container, seed);
  assert.deepEqual(residue(daemon), [], `seed ${seed}: left behind`);
}

async function checkEnd(
  docker: (...args: string[]) => Promise<CommandResult>,
  { name, exitCode, acknowledged }: Started,
  seed: number,
): Promise<void> {
  const known = await acknowledged;
  const state = (await docker('inspect', '-f', '{{.State.Status}}', name)).stdout.trim();
  if (state === 'created') assert.equal(known, false, `seed ${seed}: ${name} was acknowledged as started, yet it never ran`);
  else {
    const waited = await docker('wait', name);
    assert.equal(waited.stdout.trim(), String(exitCode), `seed ${seed}: exit code of ${name}; ${waited.stderr}`);
    const log = (await docker('logs', name)).stdout;
    const expected = Array.from({ length: linesWritten }, (_, index) => `line ${index + 1}\n`).join('');
    assert.equal(log, expected, `seed ${seed}: log of ${name}`);
  }
  const removed = await docker('rm', name);
  assert.equal(removed.status, 0, removed.stderr);
}

/** Container directories, monitor sockets and cgroups that belong to no container. */
function residue(daemon: GantryDaemon): string[] {
  const places = [`${daemon.dataRoot}/containers`, `${daemon.execRoot}/m`, `${daemon.execRoot}/c`];
  const left = places.flatMap((place) => list(place).map((name) => `${place}/${name}`));
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(daemon.directory));
  return [...left, ...mounts];
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
