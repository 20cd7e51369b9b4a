/**
 * Networks: the cost of a default bridge, of networks and of many members; throughput and latency between containers and through a published port; DNS.
 * The "host" of a row is a container on the host's network, so that the peer's private network namespace and ours are measured alike.
 */
import type { GantryDaemon } from '../test/harness/gantry.ts';
import { importDebian } from '../test/harness/images.ts';
import type { Peer } from '../test/harness/peer.ts';
import { EngineClient } from './engine-client.ts';
import { type Both, compare, median, record, root, selected, succeed, timed } from './measure.ts';

interface Engines {
  readonly gantry: GantryDaemon;
  readonly peer: Peer;
}

type Side = 'ours' | 'peer';

const sides: readonly Side[] = ['ours', 'peer'];
/** Of the traffic rows; each takes three seconds a side at most. */
const trafficRounds = 5;
/**
 * What the kernel and a shell need for the same, without an engine: a bridge made and removed; a namespace with one end of a veth pair, an address and a route,
 * and `true` in it.
 */
const bareBridge =
  'ip link add bench-b type bridge && ip addr add 10.213.7.1/24 dev bench-b && ip link set bench-b up && ip link del bench-b';
const bareStart = `unshare --net --mount --pid --uts --ipc --fork sh -c 'ip link add bench-v type veth peer name bench-w &&
  ip addr add 10.213.7.2/24 dev bench-v && ip link set bench-v up && ip route add default via 10.213.7.1 && exec true'`;
const names = {
  runOwn: 'run --rm true on the default bridge, each with its own CLI',
  runDocker: 'run --rm true on the default bridge, docker CLI on both',
  runPort: 'run --rm -p true on the default bridge, docker CLI on both',
  api: 'API create+start+wait+remove on the default bridge',
  network: 'network create + rm',
  many: '100 containers on one network: start',
  manyEnd: '100 containers on one network: rm -f',
  betweenRate: 'container to container, 1 TCP stream',
  betweenTime: 'container to container, connect+request+close',
  portRate: 'host to published port, 1 TCP stream',
  portTime: 'host to published port, connect+request+close',
  dns: 'DNS answers for a container name',
} as const;

export async function networkRows({ gantry, peer }: Engines): Promise<void> {
  if (!Object.values(names).some(selected)) return;
  const hosts = { ours: gantry.host, peer: peer.host };
  await starts(hosts);
  await lifecycle(hosts);
  await networks(hosts);
  await manyContainers(hosts);
  if ([names.betweenRate, names.betweenTime, names.portRate, names.portTime, names.dns].some(selected)) await traffic(hosts);
}

async function starts(hosts: Record<Side, string>): Promise<void> {
  const args = ['run', '--rm', 'busybox', 'true'] as const;
  const limit = () => succeed(['/bin/sh', '-c', bareStart]);
  const own: Both = { ours: () => succeed([`${root}gantry`, '-H', hosts.ours, ...args]), peer: () => docker(hosts.peer, ...args), limit };
  await compare(names.runOwn, 0.25, 15, own);
  await compare(names.runDocker, null, 15, { ...bothSides(hosts, (host) => docker(host, ...args)), limit });
  const published = (host: string) => docker(host, 'run', '--rm', '-p', '18080:80', 'busybox', 'true');
  await compare(names.runPort, null, 15, bothSides(hosts, published));
}

async function lifecycle(hosts: Record<Side, string>): Promise<void> {
  const clients = { ours: new EngineClient(hosts.ours), peer: new EngineClient(hosts.peer) };
  await compare(names.api, null, 25, { ours: () => clients.ours.lifecycle('bridge'), peer: () => clients.peer.lifecycle('bridge') });
  for (const side of sides) clients[side].close();
}

async function networks(hosts: Record<Side, string>): Promise<void> {
  const work = async (host: string) => {
    await docker(host, 'network', 'create', 'bench-net');
    await docker(host, 'network', 'rm', 'bench-net');
  };
  const limit = () => succeed(['/bin/sh', '-c', bareBridge]);
  await compare(names.network, null, 15, { ...bothSides(hosts, work), limit });
}

async function manyContainers(hosts: Record<Side, string>): Promise<void> {
  if (!selected(names.many) && !selected(names.manyEnd)) return;
  const count = 100;
  const times: Record<Side, { start: number; end: number }> = { ours: { start: 0, end: 0 }, peer: { start: 0, end: 0 } };
  for (const side of sides) {
    const host = hosts[side];
    await docker(host, 'network', 'create', 'bench-many');
    const loop = `for i in $(seq ${count}); do docker -H ${host} run -d --network bench-many --name bench-$i busybox sleep 1000 || exit 1; done`;
    const start = await timed(() => succeed(['/bin/sh', '-c', loop]));
    const end = await timed(() =>
      succeed(['/bin/sh', '-c', `docker -H ${host} rm -f $(docker -H ${host} ps -aq --filter network=bench-many)`]),
    );
    times[side] = { start, end };
    await docker(host, 'network', 'rm', 'bench-many');
  }
  record(names.many, { unit: 'ms', ours: times.ours.start, peer: times.peer.start, samples: 1 });
  record(names.manyEnd, { unit: 'ms', ours: times.ours.end, peer: times.peer.end, samples: 1 });
}

/** A sequence of short HTTP-like exchanges with one address; prints the median in microseconds. python3-minimal is in the image. */
const latencyScript = `
import socket, sys, time
address = (socket.gethostbyname(sys.argv[1]), int(sys.argv[2])); times = []
for i in range(2200):
    start = time.perf_counter(); s = socket.create_connection(address); s.sendall(b"ping"); s.recv(16); s.close()
    if i >= 200: times.append(time.perf_counter() - start)
times.sort(); print(times[len(times) // 2] * 1e6)`;

const echoScript = `
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("0.0.0.0", 7777)); s.listen(128)
while True:
    c, _ = s.accept(); c.sendall(c.recv(16)); c.close()`;

const ports = { iperf: 15201, echo: 17777 } as const;

async function traffic(hosts: Record<Side, string>): Promise<void> {
  await importDebian(hosts.ours, hosts.peer);
  for (const host of Object.values(hosts)) await startServers(host);
  try {
    const client = ['exec', 'bench-client'] as const;
    const fromHost = ['exec', 'bench-host'] as const;
    await rate(names.betweenRate, hosts, (host) => iperf(host, client, 'bench-server', 5201));
    await latency(names.betweenTime, hosts, (host) => exchange(host, client, 'bench-server', 7777));
    await rate(names.portRate, hosts, (host) => iperf(host, fromHost, '127.0.0.1', ports.iperf));
    await latency(names.portTime, hosts, (host) => exchange(host, fromHost, '127.0.0.1', ports.echo));
    await dnsRate(hosts);
  } finally {
    for (const host of Object.values(hosts))
      await succeed([
        '/bin/sh',
        '-c',
        `docker -H ${host} rm -f bench-server bench-client bench-host; docker -H ${host} network rm bench-traffic`,
      ]);
  }
}

async function startServers(host: string): Promise<void> {
  await docker(host, 'network', 'create', 'bench-traffic');
  const published = ['-p', `${ports.iperf}:5201`, '-p', `${ports.echo}:7777`] as const;
  const serve = 'iperf3 -s >/dev/null & exec python3 -c "$ECHO"';
  const common = ['run', '-d', '--network', 'bench-traffic'] as const;
  await docker(host, ...common, '--name', 'bench-server', ...published, '-e', `ECHO=${echoScript}`, 'debian:test', 'sh', '-c', serve);
  await docker(host, ...common, '--name', 'bench-client', 'debian:test', 'sleep', '1000');
  await docker(host, 'run', '-d', '--network', 'host', '--name', 'bench-host', 'debian:test', 'sleep', '1000');
  await new Promise((resolve) => setTimeout(resolve, 1500));
}

/** The limit of a traffic row: the same programs over the loopback device of one container. */
const inServer = ['exec', 'bench-server'] as const;

/** Gigabits per second. */
async function iperf(host: string, into: readonly string[], target: string, port: number): Promise<number> {
  const text = await docker(host, ...into, 'iperf3', '-J', '-t', '2', '-O', '1', '-c', target, '-p', String(port));
  const report = JSON.parse(text) as { readonly end: { readonly sum_received: { readonly bits_per_second: number } } };
  return report.end.sum_received.bits_per_second / 1e9;
}

/** Microseconds. */
async function exchange(host: string, into: readonly string[], target: string, port: number): Promise<number> {
  return Number(await docker(host, ...into, 'python3', '-c', latencyScript, target, String(port)));
}

async function rate(name: string, hosts: Record<Side, string>, measure: (host: string) => Promise<number>): Promise<void> {
  if (!selected(name)) return;
  const values = await sampled(hosts, measure, () => iperf(hosts.ours, inServer, '127.0.0.1', 5201));
  record(name, { unit: 'Gbit/s', ...values, samples: trafficRounds, rate: true });
}

async function latency(name: string, hosts: Record<Side, string>, measure: (host: string) => Promise<number>): Promise<void> {
  if (!selected(name)) return;
  const values = await sampled(hosts, measure, () => exchange(hosts.ours, inServer, '127.0.0.1', 7777));
  record(name, { unit: 'us', ...values, samples: trafficRounds });
}

async function dnsRate(hosts: Record<Side, string>): Promise<void> {
  if (!selected(names.dns)) return;
  const script = 'echo "bench-server A" >/tmp/q; dnsperf -s 127.0.0.11 -d /tmp/q -l 3 -c 8 -q 200 | sed -n "s/.*Queries per second: *//p"';
  const measure = async (host: string) => Number(await docker(host, 'exec', 'bench-client', 'sh', '-c', script));
  record(names.dns, { unit: 'q/s', ...(await sampled(hosts, measure)), samples: trafficRounds, rate: true });
}

/** Medians of interleaved rounds. */
async function sampled(hosts: Record<Side, string>, measure: (host: string) => Promise<number>, limit?: () => Promise<number>) {
  const values = { ours: [] as number[], peer: [] as number[], limit: [] as number[] };
  for (let round = 0; round < trafficRounds; round++) {
    for (const side of sides) values[side].push(await measure(hosts[side]));
    if (limit !== undefined) values.limit.push(await limit());
  }
  return { ours: median(values.ours), peer: median(values.peer), limit: limit === undefined ? null : median(values.limit) };
}

function bothSides(hosts: Record<Side, string>, work: (host: string) => Promise<unknown>) {
  return { ours: () => work(hosts.ours), peer: () => work(hosts.peer) };
}

function docker(host: string, ...args: readonly string[]): Promise<string> {
  return succeed(['docker', '-H', host, ...args]);
}
