/**
 * Networks: the cost of a default bridge, of networks and of many members; throughput and latency between containers and through a published port; DNS.
 * The "host" of a row is a container on the host's network, so that the peer's private network namespace and ours are measured alike.
 */
import type { GantryDaemon } from '../test/harness/gantry.ts';
import { importDebian } from '../test/harness/images.ts';
import type { Peer } from '../test/harness/peer.ts';
import { EngineClient } from './engine-client.ts';
import { compare, median, record, root, selected, succeed, timed } from './measure.ts';

interface Engines {
  readonly gantry: GantryDaemon;
  readonly peer: Peer;
}

type Side = 'ours' | 'peer';

const sides: readonly Side[] = ['ours', 'peer'];
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
  await compare(names.runOwn, 0.25, 15, {
    ours: () => succeed([`${root}gantry`, '-H', hosts.ours, ...args]),
    peer: () => docker(hosts.peer, ...args),
  });
  await compare(
    names.runDocker,
    null,
    15,
    bothSides(hosts, (host) => docker(host, ...args)),
  );
  await compare(
    names.runPort,
    null,
    15,
    bothSides(hosts, (host) => docker(host, 'run', '--rm', '-p', '18080:80', 'busybox', 'true')),
  );
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
  await compare(names.network, null, 10, bothSides(hosts, work));
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

/** A sequence of short HTTP-like exchanges; prints the median in microseconds. python3-minimal is in the image. */
const latencyScript = `
import socket, sys, time
address = (sys.argv[1], int(sys.argv[2])); times = []
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
    const limit = await loopbackLimit(hosts.ours);
    await rate(names.betweenRate, hosts, limit.rate, (host) => iperf(host, ['exec', 'bench-client'], 'bench-server', 5201));
    await latency(names.betweenTime, hosts, limit.time, (host) => exchange(host, ['exec', 'bench-client'], 'bench-server', 7777));
    await rate(names.portRate, hosts, limit.rate, (host) => iperf(host, ['exec', 'bench-host'], '127.0.0.1', ports.iperf));
    await latency(names.portTime, hosts, limit.time, (host) => exchange(host, ['exec', 'bench-host'], '127.0.0.1', ports.echo));
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

/** The same programs over the loopback device of one container. */
async function loopbackLimit(host: string): Promise<{ readonly rate: number; readonly time: number }> {
  const inside = ['exec', 'bench-server'] as const;
  return { rate: await iperf(host, inside, '127.0.0.1', 5201), time: await exchange(host, inside, '127.0.0.1', 7777) };
}

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

async function rate(name: string, hosts: Record<Side, string>, limit: number, measure: (host: string) => Promise<number>): Promise<void> {
  if (!selected(name)) return;
  record(name, { unit: 'Gbit/s', ...(await sampled(hosts, measure)), limit, samples: 3, rate: true });
}

async function latency(
  name: string,
  hosts: Record<Side, string>,
  limit: number,
  measure: (host: string) => Promise<number>,
): Promise<void> {
  if (!selected(name)) return;
  record(name, { unit: 'us', ...(await sampled(hosts, measure)), limit, samples: 3 });
}

async function dnsRate(hosts: Record<Side, string>): Promise<void> {
  if (!selected(names.dns)) return;
  const script = 'echo "bench-server A" >/tmp/q; dnsperf -s 127.0.0.11 -d /tmp/q -l 3 -c 8 -q 200 | sed -n "s/.*Queries per second: *//p"';
  const measure = async (host: string) => Number(await docker(host, 'exec', 'bench-client', 'sh', '-c', script));
  record(names.dns, { unit: 'q/s', ...(await sampled(hosts, measure)), samples: 3, rate: true });
}

async function sampled(hosts: Record<Side, string>, measure: (host: string) => Promise<number>): Promise<Record<Side, number>> {
  const values = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < 3; round++) for (const side of sides) values[side].push(await measure(hosts[side]));
  return { ours: median(values.ours), peer: median(values.peer) };
}

function bothSides(hosts: Record<Side, string>, work: (host: string) => Promise<unknown>) {
  return { ours: () => work(hosts.ours), peer: () => work(hosts.peer) };
}

function docker(host: string, ...args: readonly string[]): Promise<string> {
  return succeed(['docker', '-H', host, ...args]);
}
