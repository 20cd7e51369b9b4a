/**
 * A host of its own for tests of the net worker: this process moves into a new network namespace, and everything that it starts afterwards (the worker's
 * thread too) lives there. Containers are namespaces without a process, or with a `sleep`, entered by the worker's descriptor. Needs root.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bind, checked } from '../../src/linux/ffi.ts';
import { changeLink, listLinks } from '../../src/linux/netlink/links.ts';
import { NETLINK_ROUTE, openNetlink } from '../../src/linux/netlink/netlink-socket.ts';
import type {
  BridgeFamily,
  BridgeSpec,
  EndpointSpec,
  NetSettings,
  PortSpec,
  SandboxResult,
  SandboxSpec,
} from '../../src/network/net-calls.ts';

const CLONE_NEWNET = 0x4000_0000;
const unshare = bind('unshare', 'int', ['int']);
const run = promisify(execFile);

/** Once a process: there is no way back. */
export function moveToOwnHost(): void {
  checked(unshare(CLONE_NEWNET), 'unshare', 'a network namespace');
  const route = openNetlink(NETLINK_ROUTE);
  route.requestAll([changeLink('lo', { up: true })], 'set up lo');
  route.close();
}

const scratch = mkdtempSync(join(tmpdir(), 'net-worker-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
writeFileSync(join(scratch, 'resolv.conf'), 'nameserver 192.0.2.53\n');

export const settings: NetSettings = {
  globalName: 'gantry-nw',
  firewall: true,
  firewall6: true,
  ipForward: true,
  forwardJump: true,
  proxy: true,
  publishMode: 'nat',
  resolvConf: join(scratch, 'resolv.conf'),
  pool: 3,
};

/** Network `number`: bridge `nw<number>`, 10.77.<number>.0/24, and fd77:<number>::/64 when wanted. */
export function bridgeSpec(number: number, change: Partial<BridgeSpec> & { readonly ipv6?: boolean } = {}): BridgeSpec {
  const { ipv6 = true, ...rest } = change;
  const family = { masquerade: true, hostAddress: '', gatewayMode: 'nat' } as const;
  const v4: BridgeFamily = { ...family, subnet: `10.77.${number}.0/24`, gateway: `10.77.${number}.1`, prefix: 24 };
  const v6: BridgeFamily = { ...family, subnet: `fd77:${number}::/64`, gateway: `fd77:${number}::1`, prefix: 64 };
  return {
    networkId: networkId(number),
    networkName: `net${number}`,
    bridge: `nw${number}`,
    own: true,
    mtu: 1500,
    v4,
    v6: ipv6 ? v6 : null,
    internal: false,
    icc: true,
    trustedInterfaces: [],
    ...rest,
  };
}

export function networkId(number: number): string {
  return `${number}`.padStart(64, 'a');
}

export function endpointId(number: number, host: number): string {
  return `${number}e${host}`.padStart(64, '0');
}

export function endpoint(number: number, host: number, change: Partial<EndpointSpec> & { readonly ipv6?: boolean } = {}): EndpointSpec {
  const { ipv6 = true, ...rest } = change;
  return {
    id: endpointId(number, host),
    networkId: networkId(number),
    link: { kind: 'bridge', bridge: `nw${number}`, isolated: false },
    interfaceName: 'eth0',
    macAddress: `02:42:0a:4d:${hexByte(number)}:${hexByte(host)}`,
    mtu: 1500,
    v4: { address: `10.77.${number}.${host}`, prefix: 24, gateway: `10.77.${number}.1`, isDefaultGateway: true },
    v6: ipv6 ? { address: `fd77:${number}::${host.toString(16)}`, prefix: 64, gateway: `fd77:${number}::1`, isDefaultGateway: true } : null,
    linkLocal: [],
    sysctls: {},
    names: [`name${host}`],
    ...rest,
  };
}

/** One endpoint on network 1. */
export function sandboxSpec(host: number, change: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    id: containerId(host),
    name: `name${host}`,
    endpoints: [endpoint(1, host)],
    dns: { networks: [{ id: networkId(1), name: 'net1' }], links: {}, servers: [], forward: true, options: [] },
    ports: [],
    ...change,
  };
}

export function containerId(host: number): string {
  return `c${host}`.padEnd(64, '0');
}

export function port(hostPort: number, target: EndpointSpec, change: Partial<PortSpec> = {}): PortSpec {
  return {
    protocol: 'tcp',
    containerPort: 80,
    hostIp: '',
    hostPorts: [hostPort, hostPort],
    mode: 'nat',
    target4: target.id,
    target6: target.v6 === null ? null : target.id,
    ...change,
  };
}

/** Standard output of a command inside; it throws when the command fails. */
export async function inside({ namespaceFd }: Pick<SandboxResult, 'namespaceFd'>, ...command: readonly string[]): Promise<string> {
  const { stdout } = await run('nsenter', [`--net=/proc/${process.pid}/fd/${namespaceFd}`, ...command], { timeout: 20_000 });
  return stdout;
}

/** One request; the answer may take its time on a busy machine. Who expects none waits less. */
export function pings(sandbox: SandboxResult, address: string, patienceSeconds = 10): Promise<boolean> {
  return inside(sandbox, 'busybox', address.includes(':') ? 'ping6' : 'ping', '-c', '1', '-W', String(patienceSeconds), address).then(
    () => true,
    () => false,
  );
}

/** What 127.0.0.11 answers for a name, addresses only. */
export async function lookUp(sandbox: SandboxResult, name: string): Promise<readonly string[]> {
  const output = await inside(sandbox, 'busybox', 'nslookup', '-type=a', name, '127.0.0.11').catch(
    (error: { stdout?: string }) => error.stdout ?? '',
  );
  return [...output.matchAll(/^Address: (\S+)$/gm)].map((match) => match[1] ?? '').filter((address) => address !== '127.0.0.11');
}

/** A process that lives in the namespace and holds descriptors of ours, as a container with its monitor does. `kept` are their numbers in it. */
export async function inhabit({ namespaceFd, keep }: SandboxResult): Promise<{
  readonly process: ChildProcess;
  readonly pid: number;
  readonly kept: readonly { readonly label: string; readonly fd: number }[];
}> {
  const child = spawn('nsenter', [`--net=/proc/${process.pid}/fd/${namespaceFd}`, 'sh', '-c', 'echo in; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'ignore', ...keep.map(({ fd }) => fd)],
  });
  if (child.stdout) await once(child.stdout, 'data');
  return { process: child, pid: child.pid ?? 0, kept: keep.map(({ label }, index) => ({ label, fd: index + 3 })) };
}

/** Listens on port 80 inside and answers every connection with one line. Killed by its caller. */
export async function serve({ namespaceFd }: SandboxResult, answer: string): Promise<ChildProcess> {
  const script = `require('node:net').createServer((s) => s.end(${JSON.stringify(answer)})).listen(80, '::', () => console.log('up'))`;
  const child = spawn('nsenter', [`--net=/proc/${process.pid}/fd/${namespaceFd}`, process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  if (child.stdout) await once(child.stdout, 'data');
  return child;
}

export interface Traces {
  /** Names of interfaces on the host, without lo. */
  readonly links: readonly string[];
  /** Descriptors of this process that are sockets or namespaces. */
  readonly descriptors: number;
}

export function traces(): Traces {
  const route = openNetlink(NETLINK_ROUTE);
  const links = listLinks(route).map(({ name }) => name);
  route.close();
  const descriptors = readdirSync('/proc/self/fd').filter((fd) => /^(socket|net):/.test(linkOf(fd))).length;
  return { links: links.filter((name) => name !== 'lo').sort(), descriptors };
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}
