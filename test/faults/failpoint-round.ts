/**
 * One round of FAULT "SIGKILL at a named failpoint": a fixed sequence of requests goes through the whole life of a volume, a network and a container, until the daemon dies in the middle
 * of one. After the restart everything is as it was before that request, or as after it, and the rest of the sequence goes through. A container that writes meanwhile
 * notices nothing.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Failpoint } from '../../src/base/failpoints.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { engineCall, engineRequest } from './engine-request.ts';
import { residueOf } from './residue.ts';

/** What a client sees of the round's objects. */
interface World {
  readonly volume: boolean;
  readonly network: boolean;
  /** Name and status; '' when there is none. */
  readonly container: string;
  readonly networks: readonly string[];
  readonly image: boolean;
}

interface Step {
  readonly method: 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  /** What it changes. */
  readonly after: Partial<World>;
}

const nothing: World = { volume: false, network: false, container: '', networks: [], image: false };
const other = 'fp-other';
/** Small, whatever is in it. */
const archive = execFileSync('tar', ['-C', import.meta.dirname, '-cf', '-', 'failpoint-round.ts']);

function stepsOf(round: string): readonly Step[] {
  const [volume, network, name, renamed] = [`v-${round}`, `n-${round}`, `c-${round}`, `d-${round}`];
  const command = ['sh', '-c', 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done'];
  const hostConfig = { NetworkMode: network, Binds: [`${volume}:/v`, '/anonymous'], PortBindings: { '80/tcp': [{ HostPort: '18999' }] } };
  return [
    { method: 'POST', path: '/volumes/create', body: { Name: volume }, after: { volume: true } },
    { method: 'POST', path: '/networks/create', body: { Name: network }, after: { network: true } },
    {
      method: 'POST',
      path: `/containers/create?name=${name}`,
      body: { Image: 'busybox', Cmd: command, ExposedPorts: { '80/tcp': {} }, HostConfig: hostConfig },
      after: { container: `${name} created`, networks: [network] },
    },
    { method: 'POST', path: `/containers/${name}/start`, after: { container: `${name} running` } },
    { method: 'PUT', path: `/containers/${name}/archive?path=/tmp`, body: archive, after: {} },
    { method: 'POST', path: `/commit?container=${name}&repo=i-${round}`, body: {}, after: { image: true } },
    { method: 'POST', path: `/networks/${other}/connect`, body: { Container: name }, after: { networks: [other, network] } },
    { method: 'POST', path: `/networks/${other}/disconnect`, body: { Container: name }, after: { networks: [network] } },
    { method: 'POST', path: `/containers/${name}/rename?name=${renamed}`, after: { container: `${renamed} running` } },
    { method: 'POST', path: `/containers/${renamed}/stop?t=20`, after: { container: `${renamed} exited` } },
    { method: 'DELETE', path: `/images/i-${round}`, after: { image: false } },
    { method: 'DELETE', path: `/containers/${renamed}?v=1`, after: { container: '', networks: [] } },
    { method: 'DELETE', path: `/networks/${network}`, after: { network: false } },
    { method: 'DELETE', path: `/volumes/${volume}`, after: { volume: false } },
  ];
}

/** Before the first round: what all of them use. Gives back what it has outside its records, which is nobody's fault. */
export async function prepareRounds(daemon: GantryDaemon): Promise<ReadonlySet<string>> {
  const { host } = daemon;
  await engineCall(host, 'POST', '/networks/create', { Name: other });
  const command = ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo line $i; usleep 20000; done'];
  await engineCall(host, 'POST', '/containers/create?name=witness', { Image: 'busybox', Cmd: command });
  await engineCall(host, 'POST', '/containers/witness/start');
  return new Set(await residueOf(daemon, 0));
}

/** After the last round: the witness wrote without a gap and was never restarted. */
export async function checkWitness({ host }: GantryDaemon): Promise<number> {
  const { State } = JSON.parse(await engineCall(host, 'GET', '/containers/witness/json')) as { State: { Running: boolean } };
  assert.equal(State.Running, true, 'the witness ended');
  const frames = Buffer.from(await engineCall(host, 'GET', '/containers/witness/logs?stdout=1'), 'utf8').toString('utf8');
  const numbers = [...frames.matchAll(/line (\d+)\n/g)].map(([, number]) => Number(number));
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
    'lines of the witness',
  );
  await engineCall(host, 'DELETE', '/containers/witness?force=1');
  await engineCall(host, 'DELETE', `/networks/${other}`);
  return numbers.length;
}

/** The daemon must be running, and runs again afterwards. */
export async function failpointRound(daemon: GantryDaemon, failpoint: Failpoint, expected: ReadonlySet<string>): Promise<void> {
  const round = failpoint.replace('.', '-');
  const steps = stepsOf(round);
  await daemon.crash();
  await daemon.restart(failpoint);
  const died = await runUntilDeath(daemon, steps);
  assert.ok(died !== null, `${failpoint} was never reached`);
  await daemon.died();
  await daemon.restart();
  const [before, after] = [worldAfter(steps, died), worldAfter(steps, died + 1)];
  const found = await observe(daemon.host, round);
  const interrupted = `${failpoint}, in ${steps[died]?.method} ${steps[died]?.path}`;
  const done = matches(found, after);
  assert.ok(done || matches(found, before), `${interrupted}: found ${JSON.stringify(found)}, which is neither before nor after`);
  for (const step of steps.slice(done ? died + 1 : died)) await engineCall(daemon.host, step.method, step.path, step.body);
  assert.deepEqual(await observe(daemon.host, round), nothing, `${interrupted}: at the end`);
  assert.deepEqual(await leftOf(daemon, expected), [], `${interrupted}: left behind`);
}

/** The number of the step in which it died; null: it lived through all of them. */
async function runUntilDeath({ host }: GantryDaemon, steps: readonly Step[]): Promise<number | null> {
  for (const [index, { method, path, body }] of steps.entries()) {
    const reply = await engineRequest(host, method, path, body);
    if (reply === null) return index;
    assert.ok(reply.status < 400, `${method} ${path}: ${reply.status} ${reply.body}`);
    if (!path.endsWith('/start')) continue;
    if (await execUntilDeath(host, path.replace('/start', ''))) return index + 1;
  }
  return null;
}

/** An exec changes nothing of the world. */
async function execUntilDeath(host: string, container: string): Promise<boolean> {
  const created = await engineRequest(host, 'POST', `${container}/exec`, { Cmd: ['true'] });
  if (created === null) return true;
  const { Id } = JSON.parse(created.body) as { Id: string };
  return (await engineRequest(host, 'POST', `/exec/${Id}/start`, { Detach: true })) === null;
}

function worldAfter(steps: readonly Step[], count: number): World {
  return Object.assign({}, nothing, ...steps.slice(0, count).map(({ after }) => after)) as World;
}

async function observe(host: string, round: string): Promise<World> {
  const json = async (path: string): Promise<unknown> => {
    const reply = await engineRequest(host, 'GET', path);
    assert.ok(reply !== null && [200, 404].includes(reply.status), `${path}: ${reply?.status ?? 'no answer'}`);
    return reply.status === 404 ? null : JSON.parse(reply.body);
  };
  const list = (await json(`/containers/json?all=1`)) as { Names: string[]; State: string; NetworkSettings: { Networks: object } }[];
  const mine = list.find(({ Names }) => [`/c-${round}`, `/d-${round}`].includes(Names[0] ?? ''));
  return {
    volume: (await json(`/volumes/v-${round}`)) !== null,
    network: (await json(`/networks/n-${round}`)) !== null,
    container: mine === undefined ? '' : `${mine.Names[0]?.slice(1)} ${mine.State}`,
    networks: Object.keys(mine?.NetworkSettings.Networks ?? {}).sort(),
    image: (await json(`/images/i-${round}/json`)) !== null,
  };
}

function matches(found: World, expected: World): boolean {
  return JSON.stringify(found) === JSON.stringify({ ...expected, networks: [...expected.networks].sort() });
}

async function leftOf(daemon: GantryDaemon, expected: ReadonlySet<string>): Promise<readonly string[]> {
  const deadline = Date.now() + 5000;
  for (;;) {
    const { Volumes } = JSON.parse(await engineCall(daemon.host, 'GET', '/volumes')) as { Volumes: { Name: string }[] | null };
    const residue = (await residueOf(daemon, 0)).filter((what) => !expected.has(what));
    const left = [...residue, ...(Volumes ?? []).map(({ Name }) => `volume ${Name}`)];
    if (left.length === 0 || Date.now() > deadline) return left;
    await delay(50);
  }
}
