/** Volumes again and again: what they leave behind, and what a daemon that dies in the middle makes of them. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { randomFrom } from '../faults/crash-round.ts';
import { engineCall, engineRequest } from '../faults/engine-request.ts';
import { footprintOf } from '../faults/residue.ts';
import { runCommand } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { listOrEmpty } from '../harness/tolerant-read.ts';

const descriptorAllowance = 15;

/** Made, written, cloned, renamed, written out and in again, removed. */
export async function volumesMadeAndRemoved(daemon: GantryDaemon, rounds: number): Promise<string> {
  for (let index = 0; index < 10; index++) await volumeRound(daemon, index);
  const before = footprintOf(daemon.pid);
  const started = performance.now();
  for (let index = 10; index < rounds + 10; index++) await volumeRound(daemon, index);
  const each = (performance.now() - started) / rounds;
  const after = await settledFootprint(daemon, before.descriptors);
  await requireEmpty(daemon);
  assert.ok(
    after.descriptors <= before.descriptors + descriptorAllowance,
    `descriptors: ${before.descriptors} before, ${after.descriptors} now`,
  );
  return `${each.toFixed(1)} ms each; descriptors ${before.descriptors} → ${after.descriptors}, resident KB ${before.residentKb} → ${after.residentKb}`;
}

async function volumeRound({ host, dataRoot }: GantryDaemon, index: number): Promise<void> {
  const names = [`soak-${index}`, `soak-${index}-clone`, `soak-${index}-named-anew`] as const;
  const [first, clone, renamed] = names;
  await engineCall(host, 'POST', '/volumes/create', { Name: first, Labels: { round: String(index) } });
  writeFileSync(`${dataRoot}/volumes/${first}/_data/file`, `content ${index}`);
  await engineCall(host, 'POST', `/volumes/${first}/clone`, { Name: clone });
  await engineCall(host, 'POST', `/volumes/${clone}/rename`, { Name: renamed });
  assert.equal(readFileSync(`${dataRoot}/volumes/${renamed}/_data/file`, 'utf8'), `content ${index}`);
  await engineCall(host, 'DELETE', `/volumes/${first}`);
  await engineCall(host, 'DELETE', `/volumes/${renamed}`);
}

/** Worker threads end in their own time. */
async function settledFootprint(daemon: GantryDaemon, descriptors: number) {
  for (let attempt = 0; attempt < 40 && footprintOf(daemon.pid).descriptors > descriptors; attempt++) await delay(250);
  return footprintOf(daemon.pid);
}

/** Trees are removed after the answer. */
async function requireEmpty({ dataRoot }: GantryDaemon): Promise<void> {
  for (let attempt = 0; attempt < 40 && listOrEmpty(`${dataRoot}/volumes`).length > 0; attempt++) await delay(250);
  assert.deepEqual(listOrEmpty(`${dataRoot}/volumes`), []);
}

/**
 * Killed while volumes are made, cloned, renamed, filled from an archive and removed. Afterwards: what was acknowledged is so, a volume that is there has all of
 * its content, one that was half renamed has one of both names, and what was on its way is gone.
 */
export async function killedWhileVolumesChange(daemon: GantryDaemon, kills: number, failures: string[]): Promise<string> {
  const archive = await sampleArchive(daemon);
  for (let round = 1; round <= kills; round++) {
    try {
      await killRound(daemon, archive, round);
    } catch (thrown) {
      failures.push(`seed ${round}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    } finally {
      for (const name of await volumeNames(daemon.host)) await engineRequest(daemon.host, 'DELETE', `/volumes/${name}?force=1`);
    }
  }
  await requireEmpty(daemon);
  return '';
}

const filesInArchive = 300;

async function sampleArchive({ directory }: GantryDaemon): Promise<string> {
  const script = `mkdir ${directory}/sample && cd ${directory}/sample && for i in $(seq ${filesInArchive}); do echo $i >$i; done && tar -cf ${directory}/sample.tar .`;
  const { status, stderr } = await runCommand(['/bin/sh', '-c', script]);
  assert.equal(status, 0, stderr);
  return `${directory}/sample.tar`;
}

async function killRound(daemon: GantryDaemon, archive: string, seed: number): Promise<void> {
  const { host, dataRoot } = daemon;
  const random = randomFrom(9000 + seed);
  const known = new Map<string, boolean>();
  const filled = new Set<string>();
  const going = [0, 1, 2].map((lane) => changeUntilDead(host, archive, `s${seed}-${lane}`, known, filled));
  await delay(random() * 500);
  await daemon.crash();
  await Promise.all(going);
  if (random() < 0.3) await daemon.restartAndCrash(random() * 500);
  await daemon.restart();
  const names = await volumeNames(host);
  for (const [name, exists] of known)
    assert.equal(names.includes(name), exists, `${name} was acknowledged as ${exists ? 'there' : 'gone'}`);
  for (const name of names) requireWhole(`${dataRoot}/volumes/${name}/_data`, name, filled.has(name));
  const staged = (): readonly string[] =>
    names.flatMap((name) => listOrEmpty(`${dataRoot}/volumes/${name}`).filter((each) => each !== '_data'));
  for (let attempt = 0; attempt < 40 && staged().length > 0; attempt++) await delay(100);
  assert.deepEqual(staged(), [], 'content on its way');
}

/** Nothing, or all of the archive. */
function requireWhole(data: string, name: string, filled: boolean): void {
  assert.ok(existsSync(data), `${name} has no directory`);
  const { length } = listOrEmpty(data);
  assert.ok(length === filesInArchive || (length === 0 && !filled), `${name} has ${length} files of ${filesInArchive}`);
}

/** What a lane was told last of each name is in `known`; a name whose step was not answered is not. */
async function changeUntilDead(
  host: string,
  archive: string,
  lane: string,
  known: Map<string, boolean>,
  filled: Set<string>,
): Promise<void> {
  const step = async (touched: readonly string[], work: () => Promise<boolean>, after: Record<string, boolean>): Promise<boolean> => {
    for (const name of touched) known.delete(name);
    if (!(await work())) return false;
    for (const [name, exists] of Object.entries(after)) known.set(name, exists);
    return true;
  };
  const ask = async (method: string, path: string, body?: object): Promise<boolean> => {
    const reply = await engineRequest(host, method, path, body);
    if (reply === null) return false;
    assert.ok(reply.status < 400, `${method} ${path}: ${reply.status} ${reply.body}`);
    return true;
  };
  const fill = async (name: string): Promise<boolean> => {
    const socket = host.replace('unix://', '');
    const url = `http://engine/volumes/${name}/import`;
    const { status } = await runCommand([
      'curl',
      '-sf',
      '--unix-socket',
      socket,
      '-T',
      archive,
      '-H',
      'Content-Type: application/x-tar',
      url,
    ]);
    // 22: the daemon is there and refuses.
    assert.notEqual(status, 22, `import into ${name}`);
    if (status === 0) filled.add(name);
    return status === 0;
  };
  for (let index = 0; ; index++) {
    const [a, b, c] = [`${lane}-${index}-a`, `${lane}-${index}-b`, `${lane}-${index}-c`];
    if (!(await step([a], () => ask('POST', '/volumes/create', { Name: a }), { [a]: true }))) return;
    if (!(await fill(a))) return;
    if (!(await step([b], () => ask('POST', `/volumes/${a}/clone`, { Name: b }), { [b]: true }))) return;
    filled.add(b);
    if (!(await step([b, c], () => ask('POST', `/volumes/${b}/rename`, { Name: c }), { [b]: false, [c]: true }))) return;
    filled.add(c);
    if (!(await step([a], () => ask('DELETE', `/volumes/${a}`), { [a]: false }))) return;
  }
}

async function volumeNames(host: string): Promise<readonly string[]> {
  const { Volumes } = JSON.parse(await engineCall(host, 'GET', '/volumes')) as { Volumes: readonly { readonly Name: string }[] | null };
  return (Volumes ?? []).map(({ Name }) => Name);
}
