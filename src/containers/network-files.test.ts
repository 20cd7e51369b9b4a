import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import { type ContainerPaths, containerPaths } from './container-paths.ts';
import {
  type HostNetworkFiles,
  hasIpv6Loopback,
  type NetworkFacts,
  resolvConfText,
  updateNetworkFiles,
  writeNetworkFiles,
} from './network-files.ts';

const embedded = { kind: 'embedded', address: '127.0.0.11' } as const;
const facts: NetworkFacts = {
  mode: 'bridge',
  hostname: 'box',
  domainname: '',
  addresses: ['172.17.0.2'],
  ipv6: true,
  extraHosts: [],
  hostGateway: ['172.17.0.1', 'fd00::1'],
  links: [],
  resolver: { kind: 'host' },
  dns: { servers: [], search: [], options: [] },
};

interface Fixture {
  readonly paths: ContainerPaths;
  readonly host: HostNetworkFiles;
  readonly hosts: () => Promise<readonly string[]>;
  readonly resolvConf: () => Promise<string>;
}

async function fixture(t: TestContext): Promise<Fixture> {
  const root = await mkdtemp(join(tmpdir(), 'files-'));
  t.after(() => rm(root, { recursive: true }));
  const paths = { ...containerPaths(root, 'c' as ContainerId), directory: root };
  const inRoot = { ...paths, hosts: join(root, 'hosts'), hostname: join(root, 'hostname'), resolvConf: join(root, 'resolv.conf') };
  const host = { hosts: join(root, 'host-hosts'), resolvConf: join(root, 'host-resolv'), systemdResolvConf: join(root, 'systemd') };
  await writeFile(host.hosts, '127.0.0.1 localhost\n10.9.9.9 printer\n');
  await writeFile(host.resolvConf, 'search corp\nnameserver 10.0.0.1\n');
  return {
    paths: inRoot,
    host,
    hosts: async () => (await readFile(inRoot.hosts, 'utf8')).split('\n').slice(0, -1),
    resolvConf: () => readFile(inRoot.resolvConf, 'utf8'),
  };
}

const local6 = ['::1\tlocalhost ip6-localhost ip6-loopback', 'fe00::0\tip6-localnet', 'ff00::0\tip6-mcastprefix'];
const local = ['127.0.0.1\tlocalhost', ...local6, 'ff02::1\tip6-allnodes', 'ff02::2\tip6-allrouters'];

test('writeNetworkFiles: localhost, extra hosts, links, then the container itself', async (t) => {
  const { paths, host, hosts } = await fixture(t);
  const extraHosts = ['a:1.2.3.4', 'six:::1', 'seven=[::7]', 'up:host-gateway'];
  const links = [{ address: '172.17.0.9', names: ['db', 'dbhost', 'database'] }];
  await writeNetworkFiles(paths, { ...facts, domainname: 'example.org', addresses: ['172.17.0.2', 'fd00::2'], extraHosts, links }, host);
  const own = ['172.17.0.2\tbox.example.org box', 'fd00::2\tbox.example.org box'];
  const extra = ['1.2.3.4\ta', '::1\tsix', '::7\tseven', '172.17.0.1\tup', 'fd00::1\tup'];
  assert.deepEqual(await hosts(), [...local, ...extra, '172.17.0.9\tdb dbhost database', ...own]);
  assert.equal(await readFile(paths.hostname, 'utf8'), 'box\n');
  await writeNetworkFiles(paths, { ...facts, hostname: 'a.b', ipv6: false, extraHosts, addresses: ['172.17.0.2', 'fd00::2'] }, host);
  assert.deepEqual(await hosts(), ['127.0.0.1\tlocalhost', '1.2.3.4\ta', '172.17.0.1\tup', '172.17.0.2\ta.b a']);
});

test('writeNetworkFiles: the host’s files on the host’s network; with --add-host ours', async (t) => {
  const { paths, host, hosts, resolvConf } = await fixture(t);
  const onHost = { ...facts, mode: 'host', addresses: [] };
  await writeNetworkFiles(paths, onHost, host);
  assert.deepEqual(await hosts(), ['127.0.0.1 localhost', '10.9.9.9 printer']);
  assert.equal(await resolvConf(), 'search corp\nnameserver 10.0.0.1\n');
  await writeNetworkFiles(paths, { ...onHost, extraHosts: ['printer:1.1.1.1'] }, host);
  assert.deepEqual(await hosts(), [...local, '1.1.1.1\tprinter']);
});

test('writeNetworkFiles: bad extra hosts are refused', async (t) => {
  const { paths, host } = await fixture(t);
  const refused = (extraHosts: readonly string[], more: Partial<NetworkFacts> = {}) =>
    assert.rejects(writeNetworkFiles(paths, { ...facts, extraHosts, ...more }, host), { code: 'invalid' });
  await refused(['a:nowhere']);
  await refused(['alone']);
  await refused(['a b:1.2.3.4']);
  await refused(['up:host-gateway'], { hostGateway: [] });
});

test('updateNetworkFiles: only our lines change, in place; what the container wrote stays', async (t) => {
  const { paths, host, hosts, resolvConf } = await fixture(t);
  await writeNetworkFiles(paths, facts, host);
  const { ino } = await stat(paths.hosts);
  await appendFile(paths.hosts, '# mine\n5.5.5.5 mine\n');
  const links = [{ address: '172.17.0.9', names: ['db'] }];
  await updateNetworkFiles(paths, { ...facts, addresses: ['172.17.0.2', '10.1.0.2'], links, resolver: embedded }, host);
  assert.deepEqual(await hosts(), [...local, '172.17.0.2\tbox', '# mine', '5.5.5.5 mine', '172.17.0.9\tdb', '10.1.0.2\tbox']);
  assert.equal(await resolvConf(), 'nameserver 127.0.0.11\nsearch corp\noptions ndots:0\n');
  await writeFile(paths.resolvConf, 'nameserver 9.9.9.9\n');
  await updateNetworkFiles(paths, { ...facts, addresses: ['10.1.0.2'] }, host);
  assert.deepEqual(await hosts(), [...local, '# mine', '5.5.5.5 mine', '10.1.0.2\tbox']);
  assert.equal(await resolvConf(), 'nameserver 9.9.9.9\n');
  assert.equal((await stat(paths.hosts)).ino, ino);
  await truncate(paths.hosts, 0);
  await updateNetworkFiles(paths, facts, host);
  assert.deepEqual(await hosts(), ['172.17.0.2\tbox']);
  await truncate(paths.hosts, 3 << 20);
  await assert.rejects(updateNetworkFiles(paths, { ...facts, addresses: [] }, host), /larger than/);
});

test('resolvConfText: the host’s, less what cannot be reached, with what was asked', () => {
  const host = 'search corp\nnameserver 127.0.0.53\nnameserver 10.0.0.1\nnameserver fd00::53\noptions edns0\nsortlist 10.0.0.0\n';
  const text = (more: Partial<NetworkFacts>, from = host) => resolvConfText({ ...facts, ...more }, from);
  assert.equal(text({ mode: 'host' }), host);
  assert.equal(text({}), 'nameserver 10.0.0.1\nsearch corp\noptions edns0\nsortlist 10.0.0.0\n');
  assert.match(text({ addresses: ['fd00::2'] }), /nameserver 10.0.0.1\nnameserver fd00::53\n/);
  const dns = { servers: ['9.9.9.9'], search: ['example.com', 'b.example'], options: ['ndots:2', 'rotate'] };
  assert.equal(text({ dns }, 'search corp\n'), 'nameserver 9.9.9.9\nsearch example.com b.example\noptions ndots:2 rotate\n');
  assert.equal(text({ dns: { ...facts.dns, search: ['.'] } }, 'nameserver 10.0.0.1\nsearch corp\n'), 'nameserver 10.0.0.1\n');
  assert.equal(
    text({ mode: 'host', dns: { ...facts.dns, options: ['rotate'] } }, 'nameserver 127.0.0.53\n'),
    'nameserver 127.0.0.53\noptions rotate\n',
  );
  assert.equal(text({ mode: 'none', addresses: [] }, 'nameserver 127.0.0.53\n'), '');
});

test('resolvConfText: the embedded resolver alone, ndots:0 unless said', () => {
  const text = (options: readonly string[], host: string) =>
    resolvConfText({ ...facts, resolver: embedded, dns: { servers: ['9.9.9.9'], search: [], options } }, host);
  assert.equal(text([], 'nameserver 10.0.0.1\nsearch corp\n'), 'nameserver 127.0.0.11\nsearch corp\noptions ndots:0\n');
  assert.equal(text(['ndots:3'], ''), 'nameserver 127.0.0.11\noptions ndots:3\n');
  assert.equal(text([], 'options ndots:x edns0'), 'nameserver 127.0.0.11\noptions edns0 ndots:0\n');
});

test('hasIpv6Loopback: not where a sysctl takes it away', () => {
  assert.equal(hasIpv6Loopback({ 'net.ipv6.conf.all.disable_ipv6': '1' }), false);
  assert.equal(hasIpv6Loopback(null), hasIpv6Loopback({ 'net.ipv6.conf.all.disable_ipv6': '0' }));
});
