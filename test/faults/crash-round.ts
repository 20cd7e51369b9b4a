/**
 * One round of FAULT "daemon SIGKILLed while containers write, run and exit". At random moments around the kill containers are created, started, exec'd into,
 * attached to, copied into, committed, stopped and removed. After the restart (sometimes killed again while it starts) whatever was acknowledged must be so, every process must have ended, or
 * end, with its own exit code and every line it wrote, whatever was not acknowledged must be whole or absent, and nothing may be left behind.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandResult, runCommand } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { type ContainerWish, createBody, createContainer, engineCall, engineRequest, inspectState } from './engine-request.ts';
import { launcherOf, residueOf } from './residue.ts';

const linesWritten = 400;
const execLines = 300;
const writers = 4;
const removals = 2;
const killWithinMs = 500;

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

interface Round {
  readonly host: string;
  readonly seed: number;
  readonly random: () => number;
  /** On the host, seen by containers as /out: what outlives a container. */
  readonly out: string;
}

/** Looks after the restart whether what it began is as it must be. */
type Check = () => Promise<void>;

export async function crashRound(daemon: GantryDaemon, seed: number): Promise<void> {
  const out = `${daemon.directory}/out-${seed}`;
  mkdirSync(out);
  const round: Round = { host: daemon.host, seed, random: randomFrom(seed), out };
  const checks: Check[] = [await runResident(round)];
  for (let index = 0; index < removals; index++) checks.push(await removeMeanwhile(round, index));
  for (let index = 0; index < writers; index++) checks.push(await startWriter(round, index));
  checks.push(await startVanishing(round), createMeanwhile(round));
  checks.push(await stopMeanwhile(round), await commitMeanwhile(round), copyMeanwhile(round));
  await delay(round.random() * killWithinMs);
  const launcher = launcherOf(daemon);
  await daemon.crash();
  // Now and then with the launcher: the monitors look after their containers without it.
  if (round.random() < 0.25) process.kill(launcher, 'SIGKILL');
  await delay(round.random() * 400);
  if (round.random() < 0.3) await daemon.restartAndCrash(round.random() * 600);
  await daemon.restart();
  // The resident's own check ends it.
  for (const check of checks.slice(1)) await check();
  await checks[0]?.();
  assert.deepEqual(await residueOf(daemon), [], `seed ${seed}: left behind`);
  rmSync(out, { recursive: true });
}

/** Its log and exit code are complete, whenever it ran. */
async function startWriter(round: Round, index: number): Promise<Check> {
  const wish = { name: `writer-${round.seed}-${index}`, ...writer(round, linesWritten, 'cat') };
  const id = await createContainer(round.host, wish);
  const acknowledged = startSoon(round, wish.name);
  return async () => {
    const known = await acknowledged;
    const state = await inspectState(round.host, id);
    if (state?.Status === 'created')
      assert.equal(known, false, `seed ${round.seed}: ${wish.name} was acknowledged as started, yet it never ran`);
    else {
      assert.equal(await waitFor(round, wish.name), wish.exitCode, `seed ${round.seed}: exit code of ${wish.name}`);
      const logs = await docker(round, 'logs', wish.name);
      assert.equal(logs.stdout, linesUpTo(linesWritten), `seed ${round.seed}: log of ${wish.name}`);
    }
    await engineCall(round.host, 'DELETE', `/containers/${id}`);
  };
}

/** `--rm`: it ends as it would have, and is gone. */
async function startVanishing(round: Round): Promise<Check> {
  const { command, exitCode } = writer(round, linesWritten, 'cat >>/out/vanishing');
  const wish: ContainerWish = { name: `vanishing-${round.seed}`, command, binds: [`${round.out}:/out`], autoRemove: true };
  const id = await createContainer(round.host, wish);
  const acknowledged = startSoon(round, id);
  return async () => {
    const known = await acknowledged;
    if ((await inspectState(round.host, id))?.Status === 'created') {
      assert.equal(known, false, `seed ${round.seed}: a --rm container was acknowledged as started, yet it never ran`);
      await engineCall(round.host, 'DELETE', `/containers/${id}`);
      return;
    }
    const reply = await engineRequest(round.host, 'POST', `/containers/${id}/wait?condition=removed`);
    if (reply?.status === 200)
      assert.equal((JSON.parse(reply.body) as { StatusCode: number }).StatusCode, exitCode, `seed ${round.seed}: exit code with --rm`);
    else assert.equal(reply?.status, 404, `seed ${round.seed}: ${reply?.body ?? 'no answer'} while waiting for a --rm container`);
    assert.equal(await inspectState(round.host, id), null, `seed ${round.seed}: --rm was not honoured`);
    assert.equal(readFileSync(`${round.out}/vanishing`, 'utf8'), linesUpTo(linesWritten), `seed ${round.seed}: output of a --rm container`);
  };
}

/** A container that runs through it all, with an exec'd process and an attached client: the first goes on, the second is told its code, the third ends. */
async function runResident(round: Round): Promise<Check> {
  const name = `resident-${round.seed}`;
  const command = ['sh', '-c', 'trap "exit 7" TERM; while :; do sleep 0.05; done'];
  await createContainer(round.host, { name, command, binds: [`${round.out}:/out`] });
  await engineCall(round.host, 'POST', `/containers/${name}/start`);
  const attached = docker(round, 'attach', '--no-stdin', '--sig-proxy=false', name);
  const { command: execCommand, exitCode } = writer(round, execLines, 'cat >>/out/exec', 'usleep 2000;');
  const created = await engineCall(round.host, 'POST', `/containers/${name}/exec`, { Cmd: execCommand });
  const { Id: exec } = JSON.parse(created) as { Id: string };
  const acknowledged = delay(round.random() * 150).then(() => engineRequest(round.host, 'POST', `/exec/${exec}/start`, { Detach: true }));
  return async () => {
    const known = (await acknowledged)?.status === 200;
    // Killed by its own time limit it would be 137.
    assert.notEqual((await attached).status, 137, `seed ${round.seed}: an attached client hangs after the daemon's death`);
    assert.equal((await docker(round, 'exec', name, 'echo', 'here')).stdout, 'here\n', `seed ${round.seed}: exec after the restart`);
    await checkExec(round, exec, known, exitCode);
    await engineCall(round.host, 'POST', `/containers/${name}/stop?t=20`);
    assert.equal((await inspectState(round.host, name))?.ExitCode, 7, `seed ${round.seed}: exit code of the resident`);
    await engineCall(round.host, 'DELETE', `/containers/${name}`);
  };
}

async function checkExec(round: Round, exec: string, known: boolean, exitCode: number): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const reply = await engineRequest(round.host, 'GET', `/exec/${exec}/json`);
    if (reply?.status === 404)
      return assert.equal(known, false, `seed ${round.seed}: an exec was acknowledged as started, yet nobody knows it`);
    const { Running, ExitCode } = JSON.parse(reply?.body ?? '{}') as { Running: boolean; ExitCode: number | null };
    if (!Running) {
      assert.equal(ExitCode, exitCode, `seed ${round.seed}: exit code of an exec`);
      assert.equal(readFileSync(`${round.out}/exec`, 'utf8'), linesUpTo(execLines), `seed ${round.seed}: output of an exec`);
      return;
    }
    assert.ok(Date.now() < deadline, `seed ${round.seed}: an exec does not end`);
    await delay(50);
  }
}

/** A removal is done, or can be done again. */
async function removeMeanwhile(round: Round, index: number): Promise<Check> {
  const name = `removed-${round.seed}-${index}`;
  await createContainer(round.host, { name, command: ['sh', '-c', 'mkdir -p /a/b/c; for i in $(seq 200); do echo $i >/a/b/c/$i; done'] });
  await engineCall(round.host, 'POST', `/containers/${name}/start`);
  assert.equal(await waitFor(round, name), 0);
  const removal = delay(round.random() * killWithinMs).then(() => engineRequest(round.host, 'DELETE', `/containers/${name}`));
  return async () => {
    const known = (await removal)?.status === 204;
    const state = await inspectState(round.host, name);
    if (known) assert.equal(state, null, `seed ${round.seed}: ${name} was acknowledged as removed`);
    if (state === null) return;
    assert.equal(state.Status, 'exited', `seed ${round.seed}: ${name} is half removed`);
    await engineCall(round.host, 'DELETE', `/containers/${name}`);
  };
}

/** It ends by its own code, whether the stop was told or not. */
async function stopMeanwhile(round: Round): Promise<Check> {
  const name = `stopped-${round.seed}`;
  await createContainer(round.host, { name, command: ['sh', '-c', 'trap "exit 9" TERM; while :; do sleep 0.05; done'] });
  await engineCall(round.host, 'POST', `/containers/${name}/start`);
  const stop = delay(round.random() * killWithinMs).then(() => engineRequest(round.host, 'POST', `/containers/${name}/stop?t=20`));
  return async () => {
    const known = (await stop)?.status === 204;
    const state = await inspectState(round.host, name);
    if (known) assert.equal(state?.Status, 'exited', `seed ${round.seed}: ${name} was acknowledged as stopped`);
    if (state?.Status !== 'exited') await engineCall(round.host, 'POST', `/containers/${name}/stop?t=20`);
    assert.equal((await inspectState(round.host, name))?.ExitCode, 9, `seed ${round.seed}: exit code of ${name}`);
    await engineCall(round.host, 'DELETE', `/containers/${name}`);
  };
}

/** An image that was acknowledged is whole, and the container that it was made of goes on. */
async function commitMeanwhile(round: Round): Promise<Check> {
  const [name, image] = [`source-${round.seed}`, `image-${round.seed}`];
  const command = ['sh', '-c', 'i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo $i >/file-$i; done; touch /done; sleep 1000'];
  await createContainer(round.host, { name, command });
  await engineCall(round.host, 'POST', `/containers/${name}/start`);
  const commit = delay(round.random() * killWithinMs).then(() =>
    engineRequest(round.host, 'POST', `/commit?container=${name}&repo=${image}`, {}),
  );
  return async () => {
    const known = (await commit)?.status === 201;
    const state = await inspectState(round.host, name);
    assert.equal(state?.Status, 'running', `seed ${round.seed}: a container that was being committed`);
    const found = (await engineRequest(round.host, 'GET', `/images/${image}/json`))?.status === 200;
    if (known) assert.ok(found, `seed ${round.seed}: ${image} was acknowledged`);
    if (!found) await engineCall(round.host, 'POST', `/commit?container=${name}&repo=${image}`, {});
    const script = 'i=0; while [ -e /file-$((i+1)) ]; do i=$((i+1)); done; [ -e /done ] && [ $i != 50 ] && echo torn; true';
    const ran = await docker(round, 'run', '--rm', '--network', 'none', image, 'sh', '-c', script);
    assert.equal(`${ran.stdout}${ran.stderr}`, '', `seed ${round.seed}: files of ${image}`);
    await engineCall(round.host, 'DELETE', `/containers/${name}?force=1`);
    await engineCall(round.host, 'DELETE', `/images/${image}`);
  };
}

/** Into the resident, which must have been started before. */
function copyMeanwhile(round: Round): Check {
  const name = `resident-${round.seed}`;
  const copy = delay(round.random() * killWithinMs).then(() =>
    engineRequest(round.host, 'PUT', `/containers/${name}/archive?path=/tmp`, copied),
  );
  return async () => {
    if ((await copy)?.status !== 200) return;
    const { stdout } = await docker(round, 'exec', name, 'wc', '-c', '/tmp/crash-round.ts');
    assert.equal(
      stdout.split(' ')[0],
      String(statSync(import.meta.filename).size),
      `seed ${round.seed}: a file that was acknowledged as copied`,
    );
  };
}

const copied = execFileSync('tar', ['-C', import.meta.dirname, '-cf', '-', 'crash-round.ts']);

/** A container whose creation was acknowledged is there and can be started. */
function createMeanwhile(round: Round): Check {
  const name = `created-${round.seed}`;
  const creation = delay(round.random() * killWithinMs).then(() =>
    engineRequest(round.host, 'POST', `/containers/create?name=${name}`, createBody({ command: ['sh', '-c', 'exit 11'] })),
  );
  return async () => {
    const known = (await creation)?.status === 201;
    const state = await inspectState(round.host, name);
    if (known) assert.equal(state?.Status, 'created', `seed ${round.seed}: ${name} was acknowledged as created`);
    if (state === null) return;
    await engineCall(round.host, 'POST', `/containers/${name}/start`);
    assert.equal(await waitFor(round, name), 11);
    await engineCall(round.host, 'DELETE', `/containers/${name}`);
  };
}

function startSoon(round: Round, name: string): Promise<boolean> {
  return delay(round.random() * 150).then(
    async () => (await engineRequest(round.host, 'POST', `/containers/${name}/start`))?.status === 204,
  );
}

function writer(
  round: Round,
  lines: number,
  sink: string,
  pause = round.random() < 0.5 ? '' : 'usleep 1000;',
): { command: string[]; exitCode: number } {
  const exitCode = 1 + Math.floor(round.random() * 120);
  return {
    command: ['sh', '-c', `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo line $i; ${pause} done | ${sink}; exit ${exitCode}`],
    exitCode,
  };
}

function linesUpTo(count: number): string {
  return Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join('');
}

async function waitFor(round: Round, name: string): Promise<number> {
  const body = await engineCall(round.host, 'POST', `/containers/${name}/wait`);
  return (JSON.parse(body) as { StatusCode: number }).StatusCode;
}

function docker(round: Round, ...args: string[]): Promise<CommandResult> {
  return runCommand(['docker', '-H', round.host, ...args], { timeoutMs: 30_000 });
}
