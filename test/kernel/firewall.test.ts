/**
 * What passes and what doesn't, with real packets. Needs root, iproute2, nftables, iptables and curl; works in namespaces of its own (`firewall-hosts.ts`).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../src/base/log.ts';
import { type Firewall, openFirewall } from '../../src/network/firewall/firewall.ts';
import type { BridgeSpec, NetSettings, PortResult } from '../../src/network/net-calls.ts';
import { PortTable } from '../../src/network/ports/port-table.ts';
import { address, bridgeNetfilter, makeWorld, type Place, published, settings, shell, type World } from './firewall-hosts.ts';

const missing = ['ip', 'nft', 'iptables', 'curl'].filter((program) => spawnSync('/bin/sh', ['-c', `command -v ${program}`]).status !== 0);
const skip = process.getuid?.() !== 0 ? 'needs root' : missing.length > 0 ? `needs ${missing.join(', ')}` : false;

const said: string[] = [];
const log: Logger = {
  debug() {},
  info: (_fields, message) => said.push(message),
  warn: (_fields, message) => said.push(message),
  error: (fields, message) => said.push(`${message} ${JSON.stringify(fields)}`),
};

/** Host port of each publication below, and where it leads. */
const ports: readonly (readonly [PortResult, bridge: string])[] = [
  [published('0.0.0.0', 8080, address('a', 4)), 'br1'],
  [published('::', 8080, address('a', 6)), 'br1'],
  [published('0.0.0.0', 8080, address('a', 4), 'udp'), 'br1'],
  [published('::', 8080, address('a', 6), 'udp'), 'br1'],
  [published('127.0.0.1', 8081, address('a', 4)), 'br1'],
  [published('10.9.0.1', 8082, address('a', 4)), 'br1'],
  [published('fd09::1', 8082, address('a', 6)), 'br1'],
  // The same port with and without an address: the exact one wins.
  [published('127.0.0.1', 8080, address('b', 4)), 'br1'],
  [published('0.0.0.0', 8083, address('i', 4)), 'br3'],
];

function fill(
  firewall: Firewall,
  world: World,
  specs: readonly BridgeSpec[] = ([1, 2, 3] as const).map((number) => world.bridge(number)),
): void {
  for (const spec of specs) firewall.addBridge(spec);
  for (const place of ['a', 'b', 'c', 'i'] as const) {
    firewall.addEndpoint({ bridge: `br${{ a: 1, b: 1, c: 2, i: 3 }[place]}`, ipv4: address(place, 4), ipv6: address(place, 6) });
  }
  for (const [port, bridge] of ports) firewall.publish([port], bridge);
}

interface Row {
  readonly from: Place;
  readonly to: string;
  /** Whom the container sees; '': nobody gets through. */
  readonly sees: string;
  readonly why: string;
}

/** With br_netfilter the bridge itself rewrites and sends back, so that neighbours keep their addresses. */
const matrix = (throughNetfilter: boolean): readonly Row[] => [
  {
    from: 'lan',
    to: '10.9.0.1:8080',
    sees: '10.9.0.2',
    why: 'another machine reaches a published port, and the container sees its address',
  },
  { from: 'lan', to: '[fd09::1]:8080', sees: 'fd09::2', why: 'the same by IPv6' },
  { from: 'lan', to: '10.9.0.1:8082', sees: '10.9.0.2', why: 'published on one address' },
  { from: 'lan', to: '[fd09::1]:8082', sees: 'fd09::2', why: 'published on one IPv6 address' },
  { from: 'lan', to: '10.9.0.1:8081', sees: '', why: 'published on loopback only' },
  { from: 'lan', to: '10.9.0.1:8099', sees: '', why: 'not published' },
  { from: 'host', to: '127.0.0.1:8081', sees: '172.30.1.1', why: 'the host by loopback' },
  { from: 'host', to: '10.9.0.1:8080', sees: '10.9.0.1', why: 'the host by its own address' },
  { from: 'host', to: '[fd09::1]:8080', sees: 'fd09::1', why: 'the host by its own IPv6 address' },
  { from: 'host', to: '127.0.0.1:8082', sees: '', why: 'published on another address' },
  { from: 'host', to: '127.0.0.1:8080', sees: '172.30.1.1', why: 'an exact address wins over any (leads to b)' },
  { from: 'host', to: `${address('a', 4)}:80`, sees: '172.30.1.1', why: 'the host reaches containers' },
  { from: 'host', to: `${address('i', 4)}:80`, sees: '172.30.3.1', why: 'internal ones too' },
  { from: 'host', to: `[${address('i', 6)}]:80`, sees: 'fd30:3::1', why: 'and by IPv6' },
  { from: 'a', to: '172.30.1.1:8080', sees: '172.30.1.1', why: 'a container reaches itself by a published port' },
  { from: 'a', to: '10.9.0.1:8080', sees: '172.30.1.1', why: 'and by the address of the host' },
  { from: 'a', to: '[fd30:1::1]:8080', sees: 'fd30:1::1', why: 'and by IPv6' },
  { from: 'b', to: '172.30.1.1:8080', sees: throughNetfilter ? address('b', 4) : '172.30.1.1', why: 'a neighbour by a published port' },
  { from: 'b', to: '[fd09::1]:8080', sees: throughNetfilter ? address('b', 6) : 'fd30:1::1', why: 'a neighbour by IPv6' },
  { from: 'b', to: `${address('a', 4)}:80`, sees: address('b', 4), why: 'a neighbour directly' },
  { from: 'c', to: '10.9.0.1:8080', sees: address('c', 4), why: 'another network by a published port keeps its address' },
  { from: 'c', to: '172.30.2.1:8080', sees: address('c', 4), why: 'by its own gateway' },
  { from: 'c', to: '[fd09::1]:8080', sees: address('c', 6), why: 'by IPv6' },
  { from: 'c', to: `${address('a', 4)}:80`, sees: '', why: 'another network directly' },
  { from: 'c', to: `[${address('a', 6)}]:80`, sees: '', why: 'another network directly by IPv6' },
  { from: 'a', to: '10.9.0.2:80', sees: '10.9.0.1', why: 'out to other machines, as the host' },
  { from: 'a', to: '[fd09::2]:80', sees: 'fd09::1', why: 'out by IPv6' },
  { from: 'i', to: '10.9.0.2:80', sees: '', why: 'internal: not out' },
  { from: 'i', to: '[fd09::2]:80', sees: '', why: 'internal: not out by IPv6' },
  { from: 'i', to: '10.9.0.1:8080', sees: '', why: 'internal: not to published ports' },
  { from: 'i', to: `${address('a', 4)}:80`, sees: '', why: 'internal: not to other networks' },
  { from: 'c', to: `${address('i', 4)}:80`, sees: '', why: 'nor the other way' },
  { from: 'lan', to: '10.9.0.1:8083', sees: '', why: 'nor from outside, even when published' },
  { from: 'lan', to: `${address('a', 4)}:80`, sees: '', why: 'SEC-33: straight to a container' },
  { from: 'lan', to: `[${address('a', 6)}]:80`, sees: '', why: 'SEC-33: straight to a container by IPv6' },
];

describe('firewall', { skip }, () => {
  let world: World;
  let firewall: Firewall | null = null;

  before(async () => {
    world = await makeWorld();
  });
  after(() => {
    firewall?.close(false);
    world.dispose();
  });

  function open(change: Partial<NetSettings> = {}, protect = true): Firewall {
    firewall?.close(false);
    firewall = openFirewall({ ...settings, ...change }, log, { protect });
    return firewall;
  }

  async function check(rows: readonly Row[]): Promise<void> {
    const seen = await Promise.all(rows.map(({ from, to }) => world.ask(from, to)));
    assert.deepEqual(
      rows.map(({ from, to, why }, index) => `${from} → ${to}: ${seen[index]} (${why})`),
      rows.map(({ from, to, why, sees }) => `${from} → ${to}: ${sees} (${why})`),
    );
  }

  for (const state of ['off', 'on'] as const) {
    test(`matrix, bridge-nf-call-iptables ${state}`, async (context) => {
      if (!bridgeNetfilter(state === 'on')) return context.skip('needs br_netfilter');
      fill(open(), world);
      await check(matrix(state === 'on'));
      assert.equal(await world.askUdp('lan', '10.9.0.1', 8080), '10.9.0.2');
      assert.equal(await world.askUdp('lan', 'fd09::1', 8080), 'fd09::2');
      assert.equal(await world.askUdp('host', '127.0.0.1', 8080), '172.30.1.1');
      assert.equal(await world.askUdp('b', '172.30.1.1', 8080), state === 'on' ? address('b', 4) : '172.30.1.1');
    });
  }

  test('SEC-33: a machine on the wire that sends to 127.0.0.1 reaches nothing', async () => {
    fill(open(), world);
    shell(
      'nft add table ip seen; nft "add chain ip seen pre { type filter hook prerouting priority -400; }"; nft add counter ip seen local',
    );
    shell('nft add rule ip seen pre iifname wire ip daddr 127.0.0.1 counter name local');
    world.inside(
      'lan',
      `sysctl -qw net.ipv4.conf.all.route_localnet=1; ip route add 127.0.0.1 via 10.9.0.1 dev wire src 10.9.0.2 table 7
      ip rule add lookup local priority 9; ip rule del lookup local priority 0; ip rule add to 127.0.0.1 lookup 7 priority 1`,
    );
    const seen = await Promise.all(['127.0.0.1:8080', '127.0.0.1:8081'].map((to) => world.ask('lan', to)));
    world.inside('lan', 'ip rule add lookup local priority 0; ip rule del lookup local priority 9; ip rule del priority 1');
    assert.deepEqual(seen, ['', '']);
    assert.doesNotMatch(shell('nft list counter ip seen local'), /packets 0/);
    shell('nft delete table ip seen');
  });

  test('SEC-36: a container of an internal network reaches no port of the host by any of its addresses', async () => {
    fill(open(), world);
    const server = createServer((request, response) => response.end(request.socket.remoteAddress?.replace('::ffff:', ''))).listen(0, '::');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      await check([
        { from: 'i', to: `172.30.3.1:${port}`, sees: '', why: 'its gateway' },
        { from: 'i', to: `[fd30:3::1]:${port}`, sees: '', why: 'its gateway by IPv6' },
        { from: 'i', to: `10.9.0.1:${port}`, sees: '', why: 'another address of the host' },
        { from: 'a', to: `172.30.1.1:${port}`, sees: address('a', 4), why: 'ordinary networks reach the host' },
      ]);
    } finally {
      server.close();
    }
  });

  test('SEC-36 hardened: of the host, a container reaches DNS and nothing else; published ports and the way out stay', async () => {
    const hardened = open({ dnsOnly: true });
    fill(hardened, world);
    const answer = () => createServer((request, response) => response.end(request.socket.remoteAddress?.replace('::ffff:', '')));
    const [server, dns] = [answer().listen(0, '::'), answer().listen(53, '10.9.0.1')];
    await Promise.all([once(server, 'listening'), once(dns, 'listening')]);
    const { port } = server.address() as AddressInfo;
    try {
      await check([
        { from: 'a', to: `172.30.1.1:${port}`, sees: '', why: 'its gateway' },
        { from: 'a', to: `[fd30:1::1]:${port}`, sees: '', why: 'its gateway by IPv6' },
        { from: 'c', to: `10.9.0.1:${port}`, sees: '', why: 'another address of the host' },
        { from: 'a', to: '10.9.0.1:53', sees: address('a', 4), why: 'DNS' },
        { from: 'i', to: '10.9.0.1:53', sees: '', why: 'internal: no DNS either' },
        ...matrix(false).filter(({ from, to }) => from === 'host' || to.startsWith('10.9.0.2') || to.endsWith('10.9.0.1:8080')),
      ]);
    } finally {
      server.close();
      dns.close();
    }
  });

  test('icc=false: not even by way of the gateway', async () => {
    const open4 = open();
    fill(open4, world, [world.bridge(1, { icc: false }), world.bridge(2), world.bridge(3)]);
    // What an isolated bridge port does not forward can still be sent to the gateway to be routed back.
    world.inside('b', `ip route add ${address('a', 4)} via 172.30.1.1`);
    assert.equal(await world.ask('b', `${address('a', 4)}:80`), '');
    assert.notEqual(await world.ask('b', '172.30.1.1:8080'), '');
    open4.addBridge(world.bridge(1));
    assert.equal(await world.ask('b', `${address('a', 4)}:80`), address('b', 4));
    world.inside('b', `ip route del ${address('a', 4)}`);
  });

  test('gateway modes, trusted interfaces and fixed host addresses', async () => {
    shell('ip addr add 10.9.0.77/24 dev wire');
    const changed = open();
    const mode = (number: 1 | 2 | 3, gatewayMode: 'routed' | 'nat-unprotected' | 'nat', more: Partial<BridgeSpec> = {}): BridgeSpec => {
      const spec = world.bridge(number);
      const family = <T>(one: T): T => ({ ...one, gatewayMode });
      return { ...spec, v4: family(spec.v4), v6: family(spec.v6), ...more };
    };
    fill(changed, world, [mode(1, 'routed'), mode(2, 'nat-unprotected'), world.bridge(3)]);
    await check([
      { from: 'lan', to: `${address('a', 4)}:80`, sees: '10.9.0.2', why: 'routed: published container ports directly' },
      { from: 'lan', to: `[${address('a', 6)}]:80`, sees: 'fd09::2', why: 'routed, IPv6' },
      { from: 'lan', to: '10.9.0.1:8082', sees: '', why: 'routed: the host port is not used' },
      { from: 'c', to: `${address('a', 4)}:80`, sees: address('c', 4), why: 'routed: from other networks too' },
      { from: 'lan', to: `${address('c', 4)}:80`, sees: '10.9.0.2', why: 'nat-unprotected: everything' },
      { from: 'a', to: `${address('c', 4)}:80`, sees: '', why: 'nat-unprotected: but not from other networks' },
    ]);
    fill(changed, world, [mode(1, 'routed'), mode(2, 'routed'), world.bridge(3)]);
    await check([{ from: 'lan', to: `${address('c', 4)}:80`, sees: '', why: 'routed: not what is not published' }]);
    const spec = world.bridge(1, { trustedInterfaces: ['wire'] });
    fill(changed, world, [{ ...spec, v4: spec.v4 && { ...spec.v4, hostAddress: '10.9.0.77' } }, world.bridge(2), world.bridge(3)]);
    await check([
      { from: 'lan', to: `${address('a', 4)}:80`, sees: '10.9.0.2', why: 'trusted interface: published container ports' },
      { from: 'lan', to: `${address('c', 4)}:80`, sees: '', why: 'only of that network' },
      { from: 'a', to: '10.9.0.2:80', sees: '10.9.0.77', why: 'fixed source address' },
      { from: 'c', to: '10.9.0.2:80', sees: '10.9.0.1', why: 'other networks as usual' },
    ]);
    shell('ip addr del 10.9.0.77/24 dev wire');
  });

  test('unpublished, removed and without IPv6', async () => {
    const one = open({ firewall6: false });
    fill(one, world);
    await check([
      { from: 'lan', to: '10.9.0.1:8080', sees: '10.9.0.2', why: 'IPv4 as ever' },
      { from: 'lan', to: `[${address('a', 6)}]:80`, sees: 'fd09::2', why: '--ip6tables=false: packets of IPv6 pass untouched' },
    ]);
    one.unpublish([published('0.0.0.0', 8080, address('a', 4))], 'br1');
    one.unpublish([published('0.0.0.0', 8080, address('a', 4))], 'br1');
    assert.equal(await world.ask('lan', '10.9.0.1:8080'), '');
    one.removeBridge(world.bridge(2));
    assert.doesNotMatch(shell('nft list table inet gantry-test'), /"br2"/);
  });

  test('SEC-34: flushed by another process, the table stays', async (context) => {
    const one = open();
    fill(one, world);
    if (!one.facts().tableSurvivesFlush) return context.skip('needs kernel 6.9');
    shell('nft flush ruleset');
    await check(matrix(false).filter(({ from }) => from === 'lan'));
    // The administrator's table went with it, and comes back empty.
    await sleep(1000);
    assert.match(shell('nft list table inet gantry-test-user'), /hook forward priority filter - 1/);
  });

  test('SEC-34: where tables cannot be protected, it is made again within a second, with all that was in it', async () => {
    const one = open({}, false);
    assert.equal(one.facts().tableSurvivesFlush, false);
    fill(one, world);
    const before = shell('nft -s list ruleset');
    shell('nft flush ruleset');
    await sleep(1000);
    assert.equal(sorted(shell('nft -s list ruleset')), sorted(before));
    await check(matrix(false).filter(({ from }) => from === 'lan'));
    // A change comes before the watch sees it.
    shell('nft flush ruleset');
    one.publish([published('0.0.0.0', 8090, address('b', 4))], 'br1');
    await check([
      { from: 'lan', to: '10.9.0.1:8090', sees: '10.9.0.2', why: 'the change' },
      { from: 'lan', to: '10.9.0.1:8080', sees: '10.9.0.2', why: 'what was there' },
    ]);
  });

  test('a daemon that goes leaves a table that works; the next one takes it over, and removes what is nobody’s', async () => {
    fill(open(), world);
    firewall?.close(true);
    firewall = null;
    assert.equal(await world.ask('lan', '10.9.0.1:8080'), '10.9.0.2');
    const next = open();
    assert.equal(await world.ask('lan', '10.9.0.1:8080'), '10.9.0.2', 'before sync everything is as it was');
    next.addBridge(world.bridge(1, { icc: false }));
    next.sync({
      bridges: [world.bridge(1), world.bridge(2)],
      endpoints: [{ bridge: 'br1', ipv4: address('a', 4), ipv6: address('a', 6) }],
      ports: [published('0.0.0.0', 8080, address('a', 4)), published('0.0.0.0', 8091, address('c', 4))],
    });
    await check([
      { from: 'lan', to: '10.9.0.1:8080', sees: '10.9.0.2', why: 'kept' },
      { from: 'lan', to: '10.9.0.1:8091', sees: '10.9.0.2', why: 'new' },
      { from: 'lan', to: '10.9.0.1:8082', sees: '', why: 'gone' },
    ]);
    assert.doesNotMatch(shell('nft list table inet gantry-test'), /"br3"/);
    assert.throws(() => openFirewall(settings, log), /belongs to another running process/);
  });

  test('close(false) leaves nothing, but what the administrator wrote', () => {
    const one = open();
    shell('nft add rule inet gantry-test-user forward ip saddr 192.0.2.1 drop');
    one.close(false);
    firewall = null;
    assert.match(shell('nft list ruleset'), /table inet gantry-test-user/);
    shell('nft delete table inet gantry-test-user');
    open().close(false);
    firewall = null;
    assert.equal(shell('nft list ruleset'), '');
  });

  test('SEC-37: the administrator’s chain filters by published port and client, both families', async () => {
    fill(open(), world);
    shell(`nft add rule inet gantry-test-user forward meta l4proto tcp ct original proto-dst 8080 ip saddr 10.9.0.2 drop
      nft add rule inet gantry-test-user forward meta l4proto tcp ct original proto-dst 8080 ip6 saddr fd09::2 drop`);
    await check([
      { from: 'lan', to: '10.9.0.1:8080', sees: '', why: 'filtered' },
      { from: 'lan', to: '[fd09::1]:8080', sees: '', why: 'filtered by IPv6' },
      { from: 'lan', to: '10.9.0.1:8082', sees: '10.9.0.2', why: 'another port' },
    ]);
    shell('nft flush chain inet gantry-test-user forward');
  });

  const outward: readonly Row[] = [
    { from: 'lan', to: '10.9.0.1:8080', sees: '10.9.0.2', why: 'published' },
    { from: 'a', to: '10.9.0.2:80', sees: '10.9.0.1', why: 'out' },
    { from: 'lan', to: `${address('a', 4)}:80`, sees: '', why: 'our own drops hold' },
    { from: 'c', to: `${address('a', 4)}:80`, sees: '', why: 'between networks too' },
  ];
  const shut = outward.map((row) => ({ ...row, sees: '' }));

  const foreign = [
    {
      name: 'iptables over nft, policy DROP',
      make: 'iptables-nft -P FORWARD DROP',
      undo: 'nft delete table ip filter',
      advice: /iptables-nft -I FORWARD -m mark --mark 0x77\/0xff .* -j ACCEPT/,
    },
    {
      name: 'iptables of the old kind, policy DROP',
      make: 'iptables-legacy -P FORWARD DROP',
      undo: 'iptables-legacy -P FORWARD ACCEPT; iptables-legacy -F',
      advice: /iptables-legacy -I FORWARD -m mark --mark 0x77\/0xff .* -j ACCEPT/,
    },
    {
      name: 'an nft chain with policy drop',
      make: 'nft "add table inet hostfw; add chain inet hostfw fw { type filter hook forward priority 0; policy drop; }"',
      undo: 'nft delete table inet hostfw',
      advice: /nft insert rule inet hostfw fw meta mark and 0xff == 0x77 accept comment/,
    },
    {
      name: 'an nft chain that rejects in a chain of its own',
      make: `nft "add table ip hostfw; add chain ip hostfw fw { type filter hook forward priority 10; policy accept; }; add chain ip hostfw last"
        nft "add rule ip hostfw fw ct state established accept; add rule ip hostfw fw jump last; add rule ip hostfw last counter reject"`,
      undo: 'nft delete table ip hostfw',
      advice: /nft insert rule ip hostfw fw/,
    },
  ];
  for (const { name, make, undo, advice } of foreign) {
    test(`the host's forward chain drops: ${name}`, async () => {
      firewall?.close(false);
      firewall = null;
      shell(make);
      const before = shell('nft -s list ruleset; iptables-legacy-save | grep -v "^#" | sed "s/ \\[.*//"');
      try {
        const silent = open({ forwardJump: false });
        fill(silent, world);
        await check(shut);
        assert.equal(silent.facts().warnings.length, 1);
        assert.match(silent.facts().warnings[0] ?? '', advice);
        // What the advice says works.
        const allowed = open();
        fill(allowed, world);
        assert.deepEqual(allowed.facts().warnings, []);
        await check(outward);
        allowed.close(true);
        // A second daemon's life adds no second rule.
        const next = open();
        fill(next, world);
        const rules = shell('nft list ruleset; iptables-nft-save; iptables-legacy-save');
        assert.equal(rules.split('gantry-test: its networks').length, 2, `one rule:\n${rules}`);
        next.close(false);
        assert.equal(shell('nft -s list ruleset; iptables-legacy-save | grep -v "^#" | sed "s/ \\[.*//"'), before);
      } finally {
        shell(undo);
      }
    });
  }

  test('a forward chain that begins to drop while we run is dealt with, and again after its reload', async () => {
    fill(open(), world);
    const make = 'nft "add table inet hostfw; add chain inet hostfw fw { type filter hook forward priority 0; policy drop; }"';
    for (let round = 0; round < 2; round++) {
      shell(`nft delete table inet hostfw 2>/dev/null || true; ${make}`);
      await sleep(1000);
      await check(outward);
    }
    shell('nft delete table inet hostfw');
  });

  test('the host’s input policy holds for ports that are published by proxy', async () => {
    const one = open({ publishMode: 'proxy' });
    fill(one, world);
    const table = new PortTable({ settings, ipv6: true, nameOf: (id) => id, log });
    try {
      const results = table.reserve('a', [
        {
          protocol: 'tcp',
          containerPort: 80,
          hostIp: '',
          hostPorts: [8095, 8095],
          mode: 'proxy',
          target4: address('a', 4),
          target6: address('a', 6),
        },
      ]);
      one.publish(results, 'br1');
      const rows = (sees: string): Row[] => [
        { from: 'lan', to: '10.9.0.1:8095', sees, why: 'by proxy' },
        { from: 'host', to: '127.0.0.1:8095', sees: '172.30.1.1', why: 'the host itself' },
        { from: 'host', to: '[::1]:8095', sees: 'fd30:1::1', why: 'the host by IPv6 loopback' },
        { from: 'lan', to: '10.9.0.1:8080', sees: '10.9.0.2', why: 'by NAT, which does not ask' },
      ];
      await check(rows('172.30.1.1'));
      shell(
        'nft "add table inet hostfw; add chain inet hostfw in { type filter hook input priority 0; policy drop; }"; nft add rule inet hostfw in iifname { lo, br1 } accept',
      );
      await check(rows(''));
      shell('nft delete table inet hostfw');
    } finally {
      table.close();
    }
  });

  test('--iptables=false: no table, and what an earlier daemon left is removed', () => {
    fill(open(), world);
    firewall?.close(true);
    firewall = null;
    openFirewall({ ...settings, firewall: false }, log).close(true);
    assert.doesNotMatch(shell('nft list tables'), /gantry-test$/m);
    shell('nft delete table inet gantry-test-user');
  });
});

/** Tables come in the order in which they were made. */
function sorted(ruleset: string): string {
  return ruleset.split('\n').sort().join('\n');
}
