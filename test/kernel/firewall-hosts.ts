/**
 * A private world for tests of the firewall. This process itself moves into a new network namespace, the host; everything else is named namespaces:
 *
 *   lan 10.9.0.2 fd09::2 ──wire── 10.9.0.1 fd09::1 host ──br1── a .1.2, b .1.3
 *                                                      ├──br2── c .2.2
 *                                                      └──br3── i .3.2 (internal)
 *
 * Networks are 172.30.N.0/24 and fd30:N::/64, N the number of the bridge. Every container answers on TCP port 80 with the address that it sees as its
 * client, on UDP port 80 too.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { bind, checked } from '../../src/linux/ffi.ts';
import type { BridgeSpec, NetSettings, PortResult } from '../../src/network/net-calls.ts';

const CLONE_NEWNET = 0x4000_0000;
const unshare = bind('unshare', 'int', ['int']);
const run = promisify(execFile);

export const settings: NetSettings = {
  globalName: 'gantry-test',
  firewall: true,
  firewall6: true,
  ipForward: true,
  forwardJump: true,
  proxy: true,
  publishMode: 'nat',
  resolvConf: '/etc/resolv.conf',
  pool: 0,
};

export type Place = 'host' | 'lan' | 'a' | 'b' | 'c' | 'i';

const containers = { a: [1, 2], b: [1, 3], c: [2, 2], i: [3, 2] } as const;

export function address(place: keyof typeof containers, family: 4 | 6): string {
  const [bridge, last] = containers[place];
  return family === 4 ? `172.30.${bridge}.${last}` : `fd30:${bridge}::${last}`;
}

export interface World {
  bridge(number: 1 | 2 | 3, change?: Partial<BridgeSpec>): BridgeSpec;
  /** What the container behind the address says who asks; '' when nobody answers within a second, or the connection is refused. */
  ask(from: Place, to: string): Promise<string>;
  askUdp(from: Place, address: string, port: number): Promise<string>;
  /** Runs a shell script in the namespace. */
  inside(place: Exclude<Place, 'host'>, script: string): string;
  dispose(): void;
}

/** Once a process: there is no way back to the namespace it came from. */
export async function makeWorld(): Promise<World> {
  checked(unshare(CLONE_NEWNET), 'unshare', 'a network namespace');
  const id = randomBytes(3).toString('hex');
  const name = (place: Place): string => `gf-${id}-${place}`;
  const servers: ChildProcess[] = [];
  const dispose = (): void => {
    for (const server of servers) server.kill('SIGKILL');
    for (const place of ['lan', 'a', 'b', 'c', 'i'] as const) shell(`ip netns del ${name(place)} 2>/dev/null || true`);
  };
  try {
    shell(`ip link set lo up
      ip netns add ${name('lan')}; ip link add wire type veth peer name wire netns ${name('lan')}
      ip addr add 10.9.0.1/24 dev wire; ip addr add fd09::1/64 dev wire nodad; ip link set wire up
      ip -n ${name('lan')} link set lo up; ip -n ${name('lan')} addr add 10.9.0.2/24 dev wire
      ip -n ${name('lan')} addr add fd09::2/64 dev wire nodad; ip -n ${name('lan')} link set wire up
      ip -n ${name('lan')} route add 172.30.0.0/16 via 10.9.0.1; ip -n ${name('lan')} route add fd30::/16 via fd09::1`);
    for (const number of [1, 2, 3]) {
      shell(`ip link add br${number} type bridge; ip addr add 172.30.${number}.1/24 dev br${number}
        ip addr add fd30:${number}::1/64 dev br${number} nodad; ip link set br${number} up`);
      writeFileSync(`/proc/sys/net/ipv4/conf/br${number}/route_localnet`, '1');
    }
    for (const place of Object.keys(containers) as (keyof typeof containers)[]) addContainer(place, name(place));
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
    writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
    for (const place of ['lan', ...Object.keys(containers)] as Place[]) servers.push(await serve(name(place)));
  } catch (thrown) {
    dispose();
    throw thrown;
  }
  const prefix = (place: Place): string[] => (place === 'host' ? [] : ['ip', 'netns', 'exec', name(place)]);
  const output = async (command: readonly string[]): Promise<string> => {
    const [program = '', ...rest] = command;
    try {
      return (await run(program, rest, { encoding: 'utf8' })).stdout.trim();
    } catch {
      return '';
    }
  };
  return {
    bridge: (number, change = {}) => ({ ...bridgeSpec(number), ...change }),
    ask: (from, to) => output([...prefix(from), 'curl', '-s', '-g', '-m', '1', `http://${to}/`]),
    askUdp: (from, to, port) => output([...prefix(from), process.execPath, '-e', udpClient, to, String(port)]),
    inside: (place, script) => execFileSync('ip', ['netns', 'exec', name(place), '/bin/sh', '-ec', script], { encoding: 'utf8' }),
    dispose,
  };
}

export function published(hostIp: string, hostPort: number, targetIp: string, protocol: PortResult['protocol'] = 'tcp'): PortResult {
  return { protocol, containerPort: 80, hostIp, hostPort, targetIp, mode: 'nat' };
}

export function shell(script: string): string {
  return execFileSync('/bin/sh', ['-ec', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

function addContainer(place: keyof typeof containers, namespace: string): void {
  const [bridge] = containers[place];
  shell(`ip netns add ${namespace}; ip -n ${namespace} link set lo up
    ip link add v${place} type veth peer name eth0 netns ${namespace}
    ip link set v${place} master br${bridge}; ip link set v${place} type bridge_slave hairpin on; ip link set v${place} up
    ip -n ${namespace} addr add ${address(place, 4)}/24 dev eth0; ip -n ${namespace} addr add ${address(place, 6)}/64 dev eth0 nodad
    ip -n ${namespace} link set eth0 up
    ip -n ${namespace} route add default via 172.30.${bridge}.1; ip -n ${namespace} route add default via fd30:${bridge}::1`);
}

function bridgeSpec(number: number): BridgeSpec {
  const family = { masquerade: true, hostAddress: '', gatewayMode: 'nat' } as const;
  return {
    networkId: `network${number}`,
    networkName: `network${number}`,
    bridge: `br${number}`,
    own: true,
    mtu: 1500,
    v4: { subnet: `172.30.${number}.0/24`, gateway: `172.30.${number}.1`, prefix: 24, ...family },
    v6: { subnet: `fd30:${number}::/64`, gateway: `fd30:${number}::1`, prefix: 64, ...family },
    internal: number === 3,
    icc: true,
    trustedInterfaces: [],
  };
}

const server = `
  const answer = (ip) => ip.replace('::ffff:', '');
  require('node:http').createServer((request, response) => response.end(answer(request.socket.remoteAddress))).listen(80, '::', () => {
    const udp = require('node:dgram').createSocket('udp6');
    udp.on('message', (message, from) => udp.send(answer(from.address), from.port, from.address));
    udp.bind(80, '::', () => console.log('ready'));
  });`;

const udpClient = `
  const [to, port] = process.argv.slice(1);
  const socket = require('node:dgram').createSocket(to.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (message) => { console.log(String(message)); process.exit(0); });
  setTimeout(() => process.exit(1), 1000);
  socket.send('who am I', Number(port), to);`;

async function serve(namespace: string): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', server], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

/** False: the kernel has no br_netfilter. */
export function bridgeNetfilter(on: boolean): boolean {
  try {
    for (const family of ['iptables', 'ip6tables']) writeFileSync(`/proc/sys/net/bridge/bridge-nf-call-${family}`, on ? '1' : '0');
    return true;
  } catch {
    return false;
  }
}
