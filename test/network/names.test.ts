/** Containers of different root file systems find each other by name; what is not a container's name goes to the resolvers, except from internal networks. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { importDebian, loadBusybox } from '../harness/images.ts';
import { lanAddress, startTwoHosts, type TwoHosts } from './two-hosts.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

/** A name server on the other host: every A question gets 192.0.2.77, and its name goes to the file. */
const nameServer = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("${lanAddress.v4}", 53))
while True:
    q, who = s.recvfrom(4096); at = 12; labels = []
    while q[at]: labels.append(q[at + 1:at + 1 + q[at]].decode()); at += q[at] + 1
    open(sys.argv[1], "a").write(".".join(labels) + "\\n")
    question = q[12:at + 5]
    s.sendto(q[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + question + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\xc0\\0\\2\\x4d", who)`;

let world: TwoHosts;
let upstream: ChildProcess;
const directory = mkdtempSync(join(tmpdir(), 'gantry-names-'));
const asked = join(directory, 'asked');

describe('names on user networks', { skip }, () => {
  before(async () => {
    world = await startTwoHosts();
    upstream = await startNameServer();
    await Promise.all([loadBusybox(world.daemon.host), importDebian(world.daemon.host)]);
    const { docker } = world;
    await docker('network', 'create', '--ipv6', 'people');
    await docker('network', 'create', '--internal', 'cellar');
    const dns = ['--dns', lanAddress.v4] as const;
    await docker('run', '-d', '--name', 'deb', '--network', 'people', '--network-alias', 'store', ...dns, 'debian:test', 'sleep', '1000');
    await docker(
      'run',
      '-d',
      '--name',
      'box',
      '--network',
      'people',
      '--network-alias',
      'store',
      ...dns,
      'busybox',
      'httpd',
      '-f',
      '-p',
      '80',
      '-h',
      '/etc',
    );
    await docker('run', '-d', '--name', 'inner', '--network', 'cellar', ...dns, 'debian:test', 'sleep', '1000');
  });
  after(async () => {
    upstream?.kill('SIGKILL');
    await world.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  it('Debian reaches busybox and busybox reaches Debian by name', async () => {
    await inside('deb', 'ping -c1 -W2 box');
    await inside('box', 'ping -c1 -W2 deb');
    assert.match(
      await inside(
        'deb',
        `python3 -c 'import socket; s = socket.create_connection(("box", 80)); s.sendall(b"GET /passwd HTTP/1.0\\r\\n\\r\\n"); print(s.recv(4096).decode())'`,
      ),
      /200 OK/,
    );
  });

  it('answers name.network, the short id, reverse names, and both families', async () => {
    const [v4, v6] = [await field('box', 'IPAddress'), await field('box', 'GlobalIPv6Address')];
    const id = (await world.docker('inspect', '-f', '{{.Id}}', 'box')).slice(0, 12);
    for (const name of ['box', 'box.people', 'BOX', id]) assert.equal(await inside('deb', `dig +short ${name} A`), v4, name);
    assert.equal(await inside('deb', 'dig +short box AAAA'), v6);
    assert.equal(await inside('deb', `dig +short -x ${v4}`), 'box.people.');
    assert.equal(await inside('deb', `dig +short -x ${v6}`), 'box.people.');
    assert.equal(await inside('deb', 'dig +short +tcp box A'), v4);
  });

  it('an alias of several containers gives all of them', async () => {
    const both = [await field('deb', 'IPAddress'), await field('box', 'IPAddress')].sort();
    assert.deepEqual(
      (await inside('box', 'nslookup store 127.0.0.11 | sed -n "s/^Address.*: *\\([0-9.]*\\)$/\\1/p"'))
        .split('\n')
        .filter((line) => /^\d+\.\d+\.\d+\.\d+$/.test(line) && line !== '127.0.0.11')
        .sort(),
      both,
    );
  });

  it('a name that only has an IPv4 address has no AAAA record, which is no NXDOMAIN', async () => {
    await world.docker('network', 'create', 'old');
    await world.docker('network', 'connect', 'old', 'deb');
    await world.docker('run', '-d', '--name', 'four', '--network', 'old', 'busybox', 'sleep', '1000');
    const answer = await inside('deb', 'dig four AAAA');
    assert.match(answer, /status: NOERROR/);
    assert.match(answer, /ANSWER: 0/);
  });

  it('connect and disconnect of a running container change what it can name', async () => {
    await world.docker('network', 'create', 'late');
    await world.docker('run', '-d', '--name', 'solo', '--network', 'late', 'busybox', 'sleep', '1000');
    await assert.rejects(inside('deb', 'ping -c1 -W1 solo'));
    await world.docker('network', 'connect', '--alias', 'nick', 'late', 'deb');
    await inside('deb', 'ping -c1 -W2 solo');
    await inside('solo', 'ping -c1 -W2 nick');
    await world.docker('network', 'disconnect', 'late', 'deb');
    await assert.rejects(inside('solo', 'ping -c1 -W1 nick'));
  });

  it('a renamed container answers to its new name', async () => {
    await world.docker('rename', 'box', 'chest');
    assert.equal(await inside('deb', 'dig +short chest A'), await field('chest', 'IPAddress'));
    await world.docker('rename', 'chest', 'box');
  });

  it('other names go to the resolver that the container was given', async () => {
    assert.equal(await inside('deb', 'dig +short somewhere.example A'), '192.0.2.77');
    assert.match(readFileSync(asked, 'utf8'), /^somewhere\.example$/m);
  });

  it('SEC-36: no query of an internal network leaves', async () => {
    await inside('inner', 'dig +time=1 +tries=1 leak.example A || true');
    await inside('inner', `dig +time=1 +tries=1 @${lanAddress.v4} direct.example A || true`);
    assert.doesNotMatch(readFileSync(asked, 'utf8'), /leak|direct/);
  });

  it('SEC-35: a network without IPv6 has none on either side, link-local addresses and router advertisements included', async () => {
    assert.equal(await inside('inner', 'ip -6 -o addr show dev eth0'), '');
    assert.equal(await inside('inner', 'cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6'), '1');
    const bridge = `br-${(await world.docker('network', 'inspect', '-f', '{{.Id}}', 'cellar')).slice(0, 12)}`;
    const script = `ip -6 -o addr show dev ${bridge}; cat /proc/sys/net/ipv6/conf/${bridge}/accept_ra /proc/sys/net/ipv6/conf/${bridge}/disable_ipv6`;
    assert.equal((await world.onHost(['/bin/sh', '-c', script])).stdout, '0\n1\n');
  });

  it('an application that listens on every address, port 53, is not disturbed', async () => {
    await inside(
      'deb',
      `python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(("0.0.0.0", 53)); s = socket.socket(); s.bind(("0.0.0.0", 53)); s.listen()'`,
    );
  });
});

async function inside(container: string, script: string): Promise<string> {
  return await world.docker('exec', container, 'sh', '-c', script);
}

async function field(container: string, name: string): Promise<string> {
  return await world.docker('inspect', '-f', `{{(index .NetworkSettings.Networks "people").${name}}}`, container);
}

async function startNameServer(): Promise<ChildProcess> {
  const child = spawn('nsenter', [`--net=/run/netns/${world.lanNamespace}`, '/usr/bin/python3', '-c', nameServer, asked], {
    stdio: 'ignore',
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  return child;
}
