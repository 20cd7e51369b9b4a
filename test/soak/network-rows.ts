/** Networks again and again: what they leave behind, what many members of one cost, and what a daemon that dies in the middle makes of them. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { randomFrom } from '../faults/crash-round.ts';
import { engineCall, engineRequest } from '../faults/engine-request.ts';
import { loadBusybox } from '../harness/images.ts';
import { hostAddress, startTwoHosts, type TwoHosts } from '../network/two-hosts.ts';
import { footprintText, grownSince, type NetworkFootprint, networkFootprint } from './network-footprint.ts';

/** Both hosts of `test/network` with busybox; what has grown when the work is done is a failure. Tells the figures. */
async function inTwoHosts(work: (world: TwoHosts) => Promise<string>, warmUp: (world: TwoHosts) => Promise<unknown>): Promise<string> {
  const world = await startTwoHosts();
  try {
    await loadBusybox(world.daemon.host);
    await warmUp(world);
    await delay(1000);
    const before = await networkFootprint(world);
    const figures = await work(world);
    await nothingGrown(world, before);
    return [figures, footprintText(before, await networkFootprint(world))].filter((text) => text !== '').join('; ');
  } finally {
    await world.dispose();
  }
}

/** The kernel takes namespaces, and the monitors themselves, down a moment later. */
async function nothingGrown(world: TwoHosts, before: NetworkFootprint): Promise<void> {
  let grown: readonly string[] = [];
  for (let attempt = 0; attempt < 20; attempt++) {
    grown = await grownSince(world, before);
    if (grown.length === 0) return;
    await delay(500);
  }
  assert.deepEqual(grown, [], 'left behind');
}

/** Four at a time, every second of both families, every third with a container that joins and leaves it. */
export function networksMadeAndRemoved(rounds: number): Promise<string> {
  const one = async ({ daemon: { host } }: TwoHosts, index: number): Promise<void> => {
    const name = `soak-${index}`;
    await engineCall(host, 'POST', '/networks/create', { Name: name, EnableIPv6: index % 2 === 0, Labels: { round: String(index) } });
    if (index % 3 === 0) await runOn(host, name, `soak-member-${index}`);
    await engineCall(host, 'DELETE', `/networks/${name}`);
  };
  const many = (world: TwoHosts, from: number, count: number): Promise<void> =>
    inLanes(
      4,
      Array.from({ length: count }, (_, index) => () => one(world, from + index)),
    );
  return inTwoHosts(
    async (world) => {
      const started = performance.now();
      await many(world, 100, rounds);
      assert.deepEqual(await networksNamed(world.daemon.host, 'soak-'), []);
      return `${((performance.now() - started) / rounds).toFixed(1)} ms each`;
    },
    (world) => many(world, 0, 12),
  );
}

/** Starts a container there, sees that it has an address, and removes it. */
async function runOn(host: string, network: string, name: string): Promise<void> {
  await startContainer(host, name, { NetworkMode: network });
  await engineCall(host, 'DELETE', `/containers/${name}?force=1`);
}

async function startContainer(host: string, name: string, hostConfig: object, more: object = {}): Promise<void> {
  const body = { Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig: hostConfig, ...more };
  await engineCall(host, 'POST', `/containers/create?name=${name}`, body);
  await engineCall(host, 'POST', `/containers/${name}/start`);
}

/** All are there at once; then they leave and join in random order while names are asked for; then all go. */
export function membersJoinAndLeave(members: number): Promise<string> {
  const names = Array.from({ length: members }, (_, index) => `member-${index}`);
  const random = randomFrom(members);
  const work = async ({ daemon: { host }, docker }: TwoHosts): Promise<string> => {
    await engineCall(host, 'POST', '/networks/create', { Name: 'crowd' });
    const started = performance.now();
    const startAll = names.map((name) => () => startContainer(host, name, { NetworkMode: 'crowd' }, { StopSignal: 'SIGKILL' }));
    await inLanes(4, startAll);
    const startTime = performance.now() - started;
    await requireDistinctAddresses(host, members);
    const churn = Array.from({ length: members * 2 }, () => async () => {
      const name = names[1 + Math.floor(random() * (members - 1))] ?? '';
      await leaveAndJoin(host, name);
    });
    const asking = askForNames(docker, names, random);
    await inLanes(4, churn);
    const asked = await asking.finish();
    await requireDistinctAddresses(host, members);
    const resolved = await docker('exec', 'member-0', 'nslookup', '-type=a', names.at(-1) ?? '');
    assert.match(resolved, /Address: \d+\.\d+\.\d+\.\d+/);
    await inLanes(
      4,
      names.map((name) => () => engineCall(host, 'DELETE', `/containers/${name}?force=1`)),
    );
    await engineCall(host, 'DELETE', '/networks/crowd');
    return `${(startTime / members).toFixed(1)} ms a start, ${members * 2} leave and join, ${asked} names asked meanwhile`;
  };
  return inTwoHosts(work, async ({ daemon: { host } }) => {
    await engineCall(host, 'POST', '/networks/create', { Name: 'warm' });
    for (let index = 0; index < 8; index++) await runOn(host, 'warm', 'warm');
    await engineCall(host, 'DELETE', '/networks/warm');
  });
}

/** Others may do the same with the same container: then one of both is refused, and the other is in charge. */
async function leaveAndJoin(host: string, Container: string): Promise<void> {
  const left = await engineRequest(host, 'POST', '/networks/crowd/disconnect', { Container });
  if (left?.status !== 200) return;
  await engineCall(host, 'POST', '/networks/crowd/connect', { Container });
}

async function requireDistinctAddresses(host: string, members: number): Promise<void> {
  const { Containers } = JSON.parse(await engineCall(host, 'GET', '/networks/crowd')) as {
    Containers: Record<string, { readonly IPv4Address: string; readonly MacAddress: string }>;
  };
  const all = Object.values(Containers);
  assert.equal(new Set(all.map(({ IPv4Address }) => IPv4Address)).size, members, 'addresses');
  assert.equal(new Set(all.map(({ MacAddress }) => MacAddress)).size, members, 'hardware addresses');
}

/** A name may be away for a moment, the server never: an answer is an answer. */
function askForNames(docker: TwoHosts['docker'], names: readonly string[], random: () => number) {
  let going = true;
  const loop = async (): Promise<number> => {
    let asked = 0;
    while (going) {
      const name = names[Math.floor(random() * names.length)] ?? '';
      const answer = await docker('exec', 'member-0', 'sh', '-c', `nslookup -type=a ${name} 2>&1 || true`);
      assert.match(answer, /Server:\s+127\.0\.0\.11/, answer);
      assert.doesNotMatch(answer, /timed out|no servers/, answer);
      asked++;
    }
    return asked;
  };
  const done = loop();
  done.catch(() => undefined);
  return {
    finish: () => {
      going = false;
      return done;
    },
  };
}

/** Ports that the kernel chooses, of a running container, added and taken away; each is spoken to from another host. */
export function portsComeAndGo(rounds: number): Promise<string> {
  const one = async (world: TwoHosts, index: number): Promise<void> => {
    const { host } = world.daemon;
    const name = `port-${index}`;
    const answer = ['sh', '-c', 'while :; do echo here | nc -l -p 80; done'];
    const config = { PortBindings: { '80/tcp': [{}], '53/udp': [{}] }, NetworkMode: index % 2 === 0 ? 'bridge' : 'ported' };
    await startContainer(host, name, config, { Cmd: answer, ExposedPorts: { '80/tcp': {}, '53/udp': {} } });
    await requireAnswer(world, await portOf(host, name));
    const change = { Add: { '80/tcp': [{ HostPort: String(20_000 + (index % 10_000)) }] }, Remove: { '53/udp': [] } };
    await engineCall(host, 'POST', `/containers/${name}/ports`, change);
    await requireAnswer(world, 20_000 + (index % 10_000));
    await engineCall(host, 'DELETE', `/containers/${name}?force=1`);
  };
  const many = (world: TwoHosts, from: number, count: number): Promise<void> =>
    inLanes(
      3,
      Array.from({ length: count }, (_, index) => () => one(world, from + index)),
    );
  return inTwoHosts(
    async (world) => {
      await many(world, 100, rounds);
      assert.deepEqual(JSON.parse(await engineCall(world.daemon.host, 'GET', '/ports')), []);
      return '';
    },
    async (world) => {
      await world.docker('network', 'create', '--ipv6', 'ported');
      await many(world, 0, 12);
    },
  );
}

async function portOf(host: string, name: string): Promise<number> {
  const { NetworkSettings } = JSON.parse(await engineCall(host, 'GET', `/containers/${name}/json`)) as {
    NetworkSettings: { Ports: Record<string, readonly { readonly HostPort: string }[]> };
  };
  return Number(NetworkSettings.Ports['80/tcp']?.[0]?.HostPort);
}

/** The program in the container listens a moment after its start, and again after each answer. */
async function requireAnswer(world: TwoHosts, port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const { stdout } = await world.onLan(['busybox', 'nc', '-w', '5', hostAddress.v4, String(port)]);
    if (stdout.trim() === 'here') return;
    await delay(50);
  }
  throw new Error(`nobody answers at port ${port}`);
}

/**
 * Killed while networks are made and removed and a container joins and leaves them. Afterwards: what was acknowledged is so, the addresses that `inspect` tells
 * are those in the container, every network that is listed has its bridge, and no other is there.
 */
export function killedWhileNetworksChange(kills: number, failures: string[]): Promise<string> {
  return inTwoHosts(
    async (world) => {
      for (let round = 1; round <= kills; round++) {
        try {
          await killRound(world, round);
        } catch (thrown) {
          failures.push(`seed ${round}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
          await cleared(world);
        }
      }
      return '';
    },
    async (world) => {
      await killRound(world, 0);
    },
  );
}

async function killRound(world: TwoHosts, seed: number): Promise<void> {
  const { daemon } = world;
  const { host } = daemon;
  const random = randomFrom(7000 + seed);
  await engineCall(host, 'POST', '/networks/create', { Name: 'kept' });
  await startContainer(host, 'joiner', { NetworkMode: 'kept', PortBindings: { '80/tcp': [{}] } }, { ExposedPorts: { '80/tcp': {} } });
  const acknowledged = new Map<string, boolean>();
  const going = [0, 1, 2].map((lane) => changeUntilDead(host, `lane-${lane}`, acknowledged));
  await delay(random() * 400);
  await daemon.crash();
  await Promise.all(going);
  if (random() < 0.3) await daemon.restartAndCrash(random() * 600);
  await daemon.restart();
  const listed = await networksNamed(host, 'lane-');
  for (const [name, exists] of acknowledged)
    assert.equal(listed.includes(name), exists, `${name} was acknowledged as ${exists ? 'made' : 'removed'}`);
  await requireTruth(world);
  await cleared(world);
}

/** Each lane makes a network, lets the container join and leave it, and removes it; what it was told last is in `acknowledged`. */
async function changeUntilDead(host: string, lane: string, acknowledged: Map<string, boolean>): Promise<void> {
  for (let index = 0; ; index++) {
    const name = `${lane}-${index}`;
    const steps: readonly (readonly [string, string, object?])[] = [
      ['POST', '/networks/create', { Name: name }],
      ['POST', `/networks/${name}/connect`, { Container: 'joiner' }],
      ['POST', `/networks/${name}/disconnect`, { Container: 'joiner' }],
      ['DELETE', `/networks/${name}`],
    ];
    for (const [step, [method, path, body]] of steps.entries()) {
      acknowledged.delete(name);
      const reply = await engineRequest(host, method, path, body);
      if (reply === null) {
        // Between its making and its removal it is there whatever became of the step.
        if (step === 1 || step === 2) acknowledged.set(name, true);
        return;
      }
      assert.ok(reply.status < 400, `${method} ${path}: ${reply.status} ${reply.body}`);
      acknowledged.set(name, step < 3);
    }
  }
}

/** What the engine says is what the kernel has. */
async function requireTruth({ daemon: { host }, docker, onHost }: TwoHosts): Promise<void> {
  const { NetworkSettings } = JSON.parse(await engineCall(host, 'GET', '/containers/joiner/json')) as {
    NetworkSettings: { Networks: Record<string, { readonly IPAddress: string }> };
  };
  const told = Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress);
  const inside = await docker('exec', 'joiner', 'sh', '-c', "ip -4 -o addr show | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p' | grep -v ^127");
  assert.deepEqual(inside.split('\n').sort(), [...told].sort(), 'addresses in the container');
  if (told.length > 0) assert.match(await docker('exec', 'joiner', 'ip', 'route'), /^default via /m, 'default route');
  const networks = JSON.parse(await engineCall(host, 'GET', '/networks')) as readonly { readonly Id: string; readonly Driver: string }[];
  const bridges = networks.filter(({ Driver }) => Driver === 'bridge').length;
  const { stdout } = await onHost(['ip', '-o', 'link', 'show', 'type', 'bridge']);
  assert.equal(stdout.trim().split('\n').length, bridges, `bridges: ${stdout}`);
}

async function cleared(world: TwoHosts): Promise<void> {
  const { host } = world.daemon;
  await engineRequest(host, 'DELETE', '/containers/joiner?force=1');
  for (const name of [...(await networksNamed(host, 'lane-')), 'kept']) await engineRequest(host, 'DELETE', `/networks/${name}`);
  assert.deepEqual(await networksNamed(host, 'lane-'), []);
}

async function networksNamed(host: string, prefix: string): Promise<readonly string[]> {
  const all = JSON.parse(await engineCall(host, 'GET', '/networks')) as readonly { readonly Name: string }[];
  return all.map(({ Name }) => Name).filter((name) => name.startsWith(prefix));
}

/** So many at a time. */
async function inLanes(lanes: number, work: readonly (() => Promise<unknown>)[]): Promise<void> {
  const queue = work.values();
  const lane = async (): Promise<void> => {
    for (const one of queue) await one();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
