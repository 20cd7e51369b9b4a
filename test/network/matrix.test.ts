/**
 * Who reaches a published port: publish form × address family × vantage point, with the source address that the container sees. The outcome is the table in
 * docs/published-ports.md, which must agree (`UPDATE_DOCS=1` writes it anew). Needs root, iproute2 and mmdebstrap.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { CommandResult } from '../harness/command.ts';
import { runCommand } from '../harness/command.ts';
import { importDebian } from '../harness/images.ts';
import { hostAddress, lanAddress, startTwoHosts, type TwoHosts } from './two-hosts.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const documentPath = fileURLToPath(new URL('../../docs/published-ports.md', import.meta.url));

type Family = 'v4' | 'v6';

interface Form {
  readonly publish: string;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
}

/** All lead to one container on a dual-stack network. */
const forms: readonly Form[] = [
  { publish: '8080:80', protocol: 'tcp', port: 8080 },
  { publish: '127.0.0.1:8081:80', protocol: 'tcp', port: 8081 },
  { publish: `${hostAddress.v4}:8082:80`, protocol: 'tcp', port: 8082 },
  { publish: '[::1]:8083:80', protocol: 'tcp', port: 8083 },
  { publish: `[${hostAddress.v6}]:8084:80`, protocol: 'tcp', port: 8084 },
  { publish: '0.0.0.0:8085:80', protocol: 'tcp', port: 8085 },
  { publish: '[::]:8086:80', protocol: 'tcp', port: 8086 },
  { publish: '8090-8091:80-81', protocol: 'tcp', port: 8090 },
  { publish: '8087:80/udp', protocol: 'udp', port: 8087 },
];

const vantages = [
  'another host',
  'the host, own address',
  'the host, loopback',
  'another network',
  'the same network',
  'itself',
  'an internal network',
] as const;
type Vantage = (typeof vantages)[number];

/** Reachable from everywhere but an internal network. */
const everywhere: readonly Vantage[] = vantages.filter((vantage) => vantage !== 'an internal network');
const notLoopback = everywhere.filter((vantage) => vantage !== 'the host, loopback');
const onlyLoopback: readonly Vantage[] = ['the host, loopback'];
const nowhere: readonly Vantage[] = [];

const expected: Readonly<Record<string, Readonly<Record<Family, readonly Vantage[]>>>> = {
  '8080:80': { v4: everywhere, v6: everywhere },
  '127.0.0.1:8081:80': { v4: onlyLoopback, v6: nowhere },
  [`${hostAddress.v4}:8082:80`]: { v4: notLoopback, v6: nowhere },
  '[::1]:8083:80': { v4: nowhere, v6: onlyLoopback },
  [`[${hostAddress.v6}]:8084:80`]: { v4: nowhere, v6: notLoopback },
  '0.0.0.0:8085:80': { v4: everywhere, v6: nowhere },
  '[::]:8086:80': { v4: nowhere, v6: everywhere },
  '8090-8091:80-81': { v4: everywhere, v6: everywhere },
  '8087:80/udp': { v4: everywhere, v6: everywhere },
};

/** From these the container must see who really asks. */
const sourceKept: readonly Vantage[] = ['another host', 'another network'];

/** Answers every request, TCP and UDP, on both families, with the address of who asked. */
const serverScript = `
import socket, threading
def tcp(port):
    s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0); s.bind(("::", port)); s.listen(64)
    while True:
        c, who = s.accept(); c.sendall(who[0].encode()); c.close()
def udp(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0); s.bind(("::", port))
    while True:
        _, who = s.recvfrom(64); s.sendto(who[0].encode(), who)
for port in (80, 81): threading.Thread(target=tcp, args=(port,)).start()
udp(80)`;

const clientScript = `
import socket, sys
host, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(2)
try:
    s.connect((host, port)); s.send(b"who am I"); print(s.recv(64).decode().removeprefix("::ffff:"))
except OSError: pass`;

let world: TwoHosts;
const cells = new Map<string, string>();

describe('published ports', { skip }, () => {
  before(async () => {
    world = await startTwoHosts();
    await importDebian(world.daemon.host);
    await startContainers();
  });
  after(async () => {
    if (process.env.UPDATE_DOCS === '1') writeDocument();
    await world.dispose();
  });

  for (const form of forms) {
    for (const family of ['v4', 'v6'] as const) {
      it(`-p ${form.publish} over IP${family}`, async () => {
        const outcomes = await Promise.all(vantages.map((vantage) => ask(form, family, vantage)));
        const reached = vantages.filter((_, index) => outcomes[index] !== null);
        for (const [index, vantage] of vantages.entries())
          cells.set(cellName(form, family, vantage), cellText(outcomes[index] ?? null, vantage));
        assert.deepEqual(reached, expected[form.publish]?.[family]);
        for (const vantage of reached.filter((each) => sourceKept.includes(each))) {
          assert.equal(outcomes[vantages.indexOf(vantage)], await addressOf(vantage, family), `source seen from ${vantage}`);
        }
      });
    }
  }

  for (const family of ['v4', 'v6'] as const) {
    it(`a container's own address over IP${family}: its network and the host only`, async () => {
      const target = await containerAddress('server', 'a', family);
      await world.onLan(['ip', family === 'v4' ? '-4' : '-6', 'route', 'replace', target, 'via', hostAddress[family]]);
      const reached: Record<string, boolean> = {};
      for (const vantage of vantages) reached[vantage] = (await exchange(vantage, target, 80, 'tcp')) !== null;
      assert.deepEqual(reached, {
        'another host': false,
        'the host, own address': true,
        'the host, loopback': true,
        'another network': false,
        'the same network': true,
        itself: true,
        'an internal network': false,
      });
    });
  }

  it('a packet from the wire to 127.0.0.1 of the host is dropped (SEC-33)', async () => {
    await world.onLan(['ip', 'route', 'replace', 'local', '127.0.0.0/8', 'dev', 'lo']);
    await world.onLan([
      'sh',
      '-c',
      `ip route del local 127.0.0.0/8 table local; ip route replace 127.0.0.1 via ${hostAddress.v4} src ${lanAddress.v4}; sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.wire.route_localnet=1`,
    ]);
    const answer = await world.onLan(['/usr/bin/python3', '-c', clientScript, '127.0.0.1', '8081', 'tcp']);
    assert.equal(answer.stdout.trim(), '');
  });

  it('the table in the documentation is what happens', { skip: process.env.UPDATE_DOCS === '1' ? 'it is being written' : false }, () => {
    assert.ok(readFileSync(documentPath, 'utf8').includes(table()), 'run this test with UPDATE_DOCS=1 to see what changed');
  });
});

async function startContainers(): Promise<void> {
  const { docker } = world;
  for (const name of ['a', 'b']) await docker('network', 'create', '--ipv6', name);
  await docker('network', 'create', '--ipv6', '--internal', 'i');
  const published = forms.flatMap(({ publish }) => ['-p', publish]);
  await docker('run', '-d', '--name', 'server', '--network', 'a', ...published, 'debian:test', 'python3', '-c', serverScript);
  for (const [name, network] of [
    ['same', 'a'],
    ['other', 'b'],
    ['inner', 'i'],
  ] as const) {
    await docker('run', '-d', '--name', name, '--network', network, 'debian:test', 'sleep', '1000');
  }
}

function ask(form: Form, family: Family, vantage: Vantage): Promise<string | null> {
  const loopback = family === 'v4' ? '127.0.0.1' : '::1';
  return exchange(vantage, vantage === 'the host, loopback' ? loopback : hostAddress[family], form.port, form.protocol);
}

/** The source address that the container saw, or null when there was no answer. */
async function exchange(vantage: Vantage, target: string, port: number, protocol: 'tcp' | 'udp'): Promise<string | null> {
  const { stdout } = await from(vantage, ['/usr/bin/python3', '-c', clientScript, target, String(port), protocol]);
  return stdout.trim() === '' ? null : stdout.trim();
}

function from(vantage: Vantage, argv: readonly [string, ...string[]]): Promise<CommandResult> {
  const inside = (container: string) => runCommand(['docker', '-H', world.daemon.host, 'exec', container, ...argv]);
  switch (vantage) {
    case 'another host':
      return world.onLan(argv);
    case 'the host, own address':
    case 'the host, loopback':
      return world.onHost(argv);
    case 'another network':
      return inside('other');
    case 'the same network':
      return inside('same');
    case 'itself':
      return inside('server');
    case 'an internal network':
      return inside('inner');
  }
}

async function addressOf(vantage: Vantage, family: Family): Promise<string> {
  return vantage === 'another host' ? lanAddress[family] : await containerAddress('other', 'b', family);
}

async function containerAddress(container: string, network: string, family: Family): Promise<string> {
  const field = family === 'v4' ? 'IPAddress' : 'GlobalIPv6Address';
  return await world.docker('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").${field}}}`, container);
}

function cellName(form: Form, family: Family, vantage: Vantage): string {
  return `${form.publish} ${family} ${vantage}`;
}

function cellText(source: string | null, vantage: Vantage): string {
  if (source === null) return 'no';
  return sourceKept.includes(vantage) ? 'yes, source kept' : 'yes';
}

function table(): string {
  const head = `| \`-p\` | | ${vantages.join(' | ')} |\n| --- | --- |${vantages.map(() => ' --- |').join('')}`;
  const lines = forms.flatMap((form) =>
    (['v4', 'v6'] as const).map(
      (family) =>
        `| \`${form.publish}\` | IP${family} | ${vantages.map((vantage) => cells.get(cellName(form, family, vantage)) ?? '?').join(' | ')} |`,
    ),
  );
  return [head, ...lines].join('\n');
}

function writeDocument(): void {
  const text = readFileSync(documentPath, 'utf8');
  writeFileSync(
    documentPath,
    text.replace(/<!-- table -->[\s\S]*<!-- end -->/, () => `<!-- table -->\n${table()}\n<!-- end -->`),
  );
}
