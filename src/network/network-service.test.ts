import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeHost } from './testing/fake-net-calls.ts';
import { containerId, endpoint, fails, newNetwork, newSandbox, publishing, startDaemon } from './testing/network-fixture.ts';

const subnetOf = (networks: { inspect(name: string): { ipam: { config: readonly { Subnet?: string }[] } } }, name: string) =>
  networks.inspect(name).ipam.config.map(({ Subnet }) => Subnet);
const ipam = (...config: { Subnet?: string; Gateway?: string; IPRange?: string; AuxiliaryAddresses?: Record<string, string> }[]) => ({
  ipam: { driver: 'default', options: {}, config },
});

describe('predefined networks', () => {
  it('are bridge, host and none, with ids that stay', async (context) => {
    const daemon = await startDaemon(context);
    const ids = daemon.networks.list({}).map(({ name, id }) => [name, id]);
    assert.deepEqual(ids.map(([name]) => name).sort(), ['bridge', 'host', 'none']);
    const bridge = daemon.networks.inspect('default');
    assert.deepEqual([bridge.name, bridge.options['com.docker.network.bridge.name']], ['bridge', 'gantry0']);
    assert.deepEqual(bridge.ipam.config, [{ Subnet: '172.17.0.0/16', Gateway: '172.17.0.1' }]);
    assert.deepEqual(daemon.networks.hostGateway, ['172.17.0.1']);
    const again = await daemon.restart();
    assert.deepEqual(
      again.networks
        .list({})
        .map(({ name, id }) => [name, id])
        .sort(),
      ids.sort(),
    );
    for (const name of ['bridge', 'host', 'none']) {
      await fails(() => daemon.networks.remove(name), 'forbidden', new RegExp(`${name} is a pre-defined network and cannot be removed`));
      await fails(() => daemon.networks.create(newNetwork(name)), 'forbidden', /operation is not permitted on predefined/);
    }
  });

  it('the default bridge gives way to what the host has, and keeps its subnet otherwise', async (context) => {
    const host = new FakeHost();
    host.subnets.push({ subnet: '172.17.0.0/16', device: 'docker0', index: 3, ours: false });
    const daemon = await startDaemon(context, { host, globalName: 'gantry-0123abcd' });
    assert.deepEqual(subnetOf(daemon.networks, 'bridge'), ['172.18.0.0/20']);
    assert.equal([...daemon.calls.bridges.values()][0]?.bridge, 'gantry0-0123abc');
    host.subnets.pop();
    const again = await daemon.restart();
    assert.deepEqual(subnetOf(again.networks, 'bridge'), ['172.18.0.0/20']);
  });

  it('--bridge none: there is none', async (context) => {
    const { networks } = await startDaemon(context, { settings: { bridge: 'none' } });
    assert.equal(networks.find('bridge'), null);
    assert.deepEqual(networks.hostGateway, []);
  });

  it('--bip, --fixed-cidr, --default-gateway, --ipv6 shape it', async (context) => {
    const { networks, calls } = await startDaemon(context, {
      settings: {
        bridgeAddress: '10.9.0.254/24',
        fixedCidr: '10.9.0.128/25',
        defaultGateway: '10.9.0.250',
        ipv6: true,
        mtu: 1400,
        icc: false,
        masquerade: false,
      },
    });
    const spec = calls.bridges.get(networks.inspect('bridge').id);
    assert.deepEqual([spec?.v4?.gateway, spec?.mtu, spec?.icc, spec?.v4?.masquerade], ['10.9.0.254', 1400, false, false]);
    assert.match(spec?.v6?.subnet ?? '', /^fd.*\/64$/);
    const { endpoints } = await networks.attach(newSandbox('a', ['bridge']));
    assert.deepEqual([endpoints.bridge?.ipv4, endpoints.bridge?.gateway4], ['10.9.0.128', '10.9.0.250']);
    await assert.rejects(
      startDaemon(context, { settings: { bridgeAddress: '192.0.2.1/24' } }),
      /overlaps with 192.0.2.0\/24 of the host's device host0/,
    );
  });
});

describe('create', () => {
  it('gives each network its own small subnet, stores it, and tells', async (context) => {
    const daemon = await startDaemon(context);
    const { id } = await daemon.networks.create(newNetwork('one', { labels: { a: 'b' } }));
    await daemon.networks.create(newNetwork('two', { enableIPv6: true }));
    assert.deepEqual(subnetOf(daemon.networks, 'one'), ['172.18.0.0/24']);
    assert.equal(subnetOf(daemon.networks, 'two')[0], '172.18.1.0/24');
    assert.match(subnetOf(daemon.networks, 'two')[1] ?? '', /^fd.*::\/64$/);
    assert.deepEqual(daemon.events, [
      { action: 'create', id, attributes: { name: 'one', type: 'bridge' } },
      { action: 'create', id: daemon.networks.inspect('two').id, attributes: { name: 'two', type: 'bridge' } },
    ]);
    const again = await daemon.restart();
    assert.deepEqual(again.networks.inspect(id.slice(0, 5)), daemon.networks.inspect('one'));
    assert.deepEqual(
      [...again.calls.bridges.values()].map(({ bridge }) => bridge).sort(),
      ['gantry0', ...['one', 'two'].map((name) => `br-${daemon.networks.inspect(name).id.slice(0, 12)}`)].sort(),
    );
  });

  it('two at once get different subnets; one of two with the same name loses', async (context) => {
    const { networks } = await startDaemon(context);
    await Promise.all(['a', 'b', 'c'].map((name) => networks.create(newNetwork(name))));
    assert.equal(new Set(['a', 'b', 'c'].map((name) => subnetOf(networks, name)[0])).size, 3);
    const outcomes = await Promise.allSettled([networks.create(newNetwork('d')), networks.create(newNetwork('d'))]);
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  it('gives way when another daemon was quicker with the same subnet', async (context) => {
    const { networks, calls } = await startDaemon(context);
    let done = false;
    calls.before = (call) => {
      if (call !== 'ensureBridge' || done) return;
      done = true;
      calls.host.subnets.push({ subnet: '172.18.0.0/24', device: 'br-other', index: calls.host.nextIndex(), ours: false });
    };
    await networks.create(newNetwork('late'));
    assert.deepEqual(subnetOf(networks, 'late'), ['172.18.1.0/24']);
    assert.equal(calls.bridges.size, 2);
  });

  it('keeps a subnet when the other daemon came later', async (context) => {
    const { networks, calls } = await startDaemon(context);
    let waiting = 2;
    calls.before = (call) => {
      if (call === 'hostSubnets' && --waiting === 0)
        calls.host.subnets.push({ subnet: '172.18.0.0/24', device: 'br-other', index: calls.host.nextIndex(), ours: false });
    };
    await networks.create(newNetwork('early'));
    assert.deepEqual(subnetOf(networks, 'early'), ['172.18.0.0/24']);
  });

  it('refuses what is wrong, and leaves nothing', async (context) => {
    const { networks, calls } = await startDaemon(context);
    await networks.create(newNetwork('web', ipam({ Subnet: '10.5.0.0/16' })));
    const bad: readonly (readonly [Parameters<typeof newNetwork>[1], string, RegExp])[] = [
      [ipam({ Subnet: '10.6.0.0/33' }), 'invalid', /invalid subnet 10.6.0.0\/33: invalid CIDR block notation/],
      [ipam({ Subnet: '10.0.0.1/24' }), 'invalid', /invalid subnet 10.0.0.1\/24: it should be 10.0.0.0\/24/],
      [ipam({ Subnet: '127.3.0.0/24' }), 'invalid', /invalid subnet 127.3.0.0\/24: no container can have a loopback, multicast/],
      [ipam({ Subnet: '224.0.0.0/24' }), 'invalid', /no container can have a loopback, multicast/],
      [{ ...ipam({ Subnet: 'ff05::/64' }), enableIPv6: true }, 'invalid', /no container can have a loopback, multicast/],
      [
        ipam({ Subnet: '10.6.0.0/24', Gateway: '10.7.0.1' }),
        'invalid',
        /invalid gateway 10.7.0.1: parent subnet 10.6.0.0\/24 doesn't contain this address/,
      ],
      [ipam({ Subnet: '10.6.0.0/24', IPRange: '10.7.0.0/25' }), 'invalid', /parent subnet 10.6.0.0\/24 doesn't contain ip-range/],
      [ipam({ Subnet: '10.6.0.0/24', IPRange: '10.6.0.0/16' }), 'invalid', /CIDR block is bigger than its parent subnet/],
      [ipam({ Subnet: '10.6.0.0/24', AuxiliaryAddresses: { x: '10.9.0.1' } }), 'invalid', /invalid auxiliary address x: parent subnet/],
      [
        ipam({ Subnet: '10.6.0.0/24', AuxiliaryAddresses: { x: '10.6.0.7', y: '10.6.0.7' } }),
        'invalid',
        /10.6.0.7 is the auxiliary address x already/,
      ],
      [
        ipam({ Subnet: '10.6.0.0/24', Gateway: '10.6.0.9', AuxiliaryAddresses: { x: '10.6.0.9' } }),
        'invalid',
        /10.6.0.9 is the gateway already/,
      ],
      [ipam({ Subnet: '10.6.0.0/24' }, { Subnet: '10.7.0.0/24' }), 'invalid', /doesn't support multiple subnets/],
      [ipam({ Subnet: 'fd01::/64' }), 'invalid', /IPv6 is not enabled for this network: add --ipv6/],
      [ipam({ Gateway: '10.6.0.1' }), 'invalid', /needs the subnet/],
      [
        ipam({ Subnet: '10.5.3.0/24' }),
        'forbidden',
        /Pool overlaps with other one on this address space: 10.5.3.0\/24 overlaps with 10.5.0.0\/16 of network web/,
      ],
      [ipam({ Subnet: '192.0.2.128/25' }), 'forbidden', /overlaps with 192.0.2.0\/24 of the host's device host0/],
      [{ enableIPv4: false }, 'invalid', /IPv4 or IPv6 must be enabled/],
      [{ enableIPv4: false, enableIPv6: true, ...ipam({ Subnet: '10.6.0.0/24' }) }, 'invalid', /IPv4 is not enabled/],
      [{ driver: 'overlay' }, 'not-implemented', /driver overlay, which needs swarm mode/],
      [{ driver: 'weave' }, 'not-found', /could not find plugin weave/],
      [{ driver: 'host' }, 'forbidden', /only one instance of "host" network is allowed/],
      [{ scope: 'swarm' }, 'invalid', /scope "swarm"/],
      [{ ingress: true }, 'invalid', /ingress network/],
      [{ options: { 'com.docker.network.bridge.nam': 'x' } }, 'invalid', /unknown option "com.docker.network.bridge.nam"/],
      [{ options: { 'com.docker.network.bridge.enable_icc': 'maybe' } }, 'invalid', /enable_icc: "maybe": it is neither true nor false/],
      [{ options: { 'com.docker.network.driver.mtu': '12' } }, 'invalid', /68 to 65535/],
      [{ options: { 'com.docker.network.bridge.name': 'a-name-that-is-too-long' } }, 'invalid', /1 to 15 bytes/],
      [{ options: { 'com.docker.network.bridge.gateway_mode_ipv4': 'isolated' } }, 'invalid', /only be used for an internal network/],
      [{ ipam: { driver: 'infoblox', options: {}, config: [] } }, 'not-found', /could not find plugin infoblox/],
      [{ configFrom: 'nothing' }, 'invalid', /configuration network "nothing" not found/],
    ];
    for (const [change, code, pattern] of bad) await fails(() => networks.create(newNetwork('bad', change)), code, pattern);
    await fails(() => networks.create(newNetwork('web')), 'conflict', /network with name web already exists/);
    await fails(() => networks.create(newNetwork('../web')), 'invalid', /invalid network name/);
    calls.failures.set('ensureBridge', new Error('the kernel says no'));
    await assert.rejects(networks.create(newNetwork('bad')), /the kernel says no/);
    assert.equal(networks.find('bad'), null);
    assert.equal(calls.bridges.size, 2);
    await networks.create(newNetwork('bad'));
  });

  it("hands options to the worker, keeps those that are a person's own", async (context) => {
    const { networks, calls } = await startDaemon(context, {
      settings: { networkOptions: { bridge: { 'com.docker.network.driver.mtu': '1300' } } },
    });
    const options = {
      'com.docker.network.bridge.name': 'tst-br0',
      'com.docker.network.bridge.enable_ip_masquerade': 'false',
      'com.docker.network.bridge.enable_icc': 'false',
      'com.docker.network.bridge.gateway_mode_ipv4': 'routed',
      'com.docker.network.host_ipv4': '192.0.2.2',
      'com.docker.network.bridge.trusted_host_interfaces': 'wg0:wg1',
      note: 'mine',
    };
    const { id } = await networks.create(newNetwork('n', { options }));
    const spec = calls.bridges.get(id);
    assert.deepEqual([spec?.bridge, spec?.mtu, spec?.icc, spec?.trustedInterfaces], ['tst-br0', 1300, false, ['wg0', 'wg1']]);
    assert.deepEqual([spec?.v4?.masquerade, spec?.v4?.gatewayMode, spec?.v4?.hostAddress], [false, 'routed', '192.0.2.2']);
    assert.equal(networks.inspect('n').options.note, 'mine');
    await fails(
      () => networks.create(newNetwork('m', { options })),
      'forbidden',
      /conflicts with network n: networks have same bridge name/,
    );
  });

  it('config-only networks are templates', async (context) => {
    const { networks } = await startDaemon(context);
    await networks.create(
      newNetwork('template', {
        configOnly: true,
        ...ipam({ Subnet: '10.8.0.0/24' }),
        options: { 'com.docker.network.driver.mtu': '1280' },
      }),
    );
    await networks.create(newNetwork('made', { configFrom: 'template' }));
    assert.deepEqual(subnetOf(networks, 'made'), ['10.8.0.0/24']);
    assert.equal(networks.inspect('made').options['com.docker.network.driver.mtu'], '1280');
    await fails(() => networks.remove('template'), 'forbidden', /configuration network template is in use by made/);
    await fails(() => networks.attach(newSandbox('a', ['template'])), 'invalid', /configuration network/);
    await networks.remove('made');
    await networks.remove('template');
  });

  it('macvlan and ipvlan share the subnet of the host, not their parent', async (context) => {
    const { networks, calls } = await startDaemon(context);
    const { id } = await networks.create(
      newNetwork('lan', {
        driver: 'macvlan',
        options: { parent: 'host0' },
        ...ipam({ Subnet: '192.0.2.0/24', IPRange: '192.0.2.128/25', Gateway: '192.0.2.1' }),
      }),
    );
    assert.deepEqual(calls.parents.get(id), { networkId: id, driver: 'macvlan', parent: 'host0', internal: false });
    await fails(
      () => networks.create(newNetwork('lan2', { driver: 'ipvlan', options: { parent: 'host0' } })),
      'forbidden',
      /network lan is already using parent interface host0/,
    );
    const { endpoints } = await networks.attach(newSandbox('a', ['lan'], publishing({ '80/tcp': [{ HostIp: '', HostPort: '80' }] })));
    assert.deepEqual([endpoints.lan?.ipv4, endpoints.lan?.gateway4], ['192.0.2.128', '192.0.2.1']);
    await networks.create(newNetwork('isolated', { driver: 'macvlan' }));
    assert.equal((await networks.attach(newSandbox('b', ['isolated']))).endpoints.isolated?.gateway4, '');
    assert.deepEqual(calls.sandboxes.get(containerId('b'))?.gateways, { v4: null, v6: null });
    calls.facts.drivers = { ...calls.facts.drivers, ipvlan: false };
    await fails(() => networks.create(newNetwork('x', { driver: 'ipvlan' })), 'not-implemented', /kernel of this host does not have it/);
  });
});

describe('attach', () => {
  it('gives addresses, MACs, names, and takes them back', async (context) => {
    const daemon = await startDaemon(context);
    const { networks } = daemon;
    await networks.create(newNetwork('web'));
    const sandbox = await networks.attach(newSandbox('a', [endpoint('web', { Aliases: ['www'] })]));
    const { web } = sandbox.endpoints;
    assert.deepEqual(
      [web?.ipv4, web?.prefix4, web?.gateway4, web?.macAddress, web?.interfaceName],
      ['172.18.0.2', 24, '172.18.0.1', '02:42:ac:12:00:02', 'eth0'],
    );
    assert.deepEqual(web?.dnsNames, ['a', 'www', containerId('a').slice(0, 12), 'a-host']);
    assert.deepEqual(sandbox.resolver, { kind: 'embedded', address: '127.0.0.11' });
    assert.match(sandbox.namespacePath, /^\/proc\/\d+\/fd\/100$/);
    await fails(
      () => networks.remove('web'),
      'forbidden',
      new RegExp(`network web has active endpoints \\(name:"a" id:"${containerId('a').slice(0, 12)}"\\)`),
    );
    assert.equal(networks.inspect('web').endpoints[containerId('a')]?.containerName, 'a');
    await networks.detach(containerId('a'));
    await networks.detach(containerId('a'));
    assert.equal(networks.sandbox(containerId('a')), null);
    const next = await networks.attach(newSandbox('b', ['web']));
    assert.equal(next.endpoints.web?.ipv4, '172.18.0.3');
    assert.deepEqual(
      daemon.events.slice(1).map(({ action, attributes }) => [action, attributes.container === containerId('a')]),
      [
        ['connect', true],
        ['disconnect', true],
        ['connect', false],
      ],
    );
    await networks.detach(containerId('b'));
    await networks.remove('web');
    assert.equal(daemon.events.at(-1)?.action, 'destroy');
  });

  it("on the default bridge: no names, the host's resolvers, unless only the host can reach them", async (context) => {
    const { networks } = await startDaemon(context);
    const { resolver, endpoints } = await networks.attach(newSandbox('a', ['default']));
    assert.deepEqual([resolver.kind, endpoints.bridge?.dnsNames], ['host', []]);
    const stub = await startDaemon(context, { resolvConf: 'nameserver 127.0.0.53\n' });
    assert.equal((await stub.networks.attach(newSandbox('a', ['bridge']))).resolver.kind, 'embedded');
    const own = newSandbox('b', ['bridge'], { dns: { servers: ['192.0.2.9'], search: [], options: [] } });
    assert.equal((await stub.networks.attach(own)).resolver.kind, 'host');
  });

  it('fixed addresses: taken, outside, not allowed', async (context) => {
    const { networks } = await startDaemon(context);
    await networks.create(newNetwork('web', ipam({ Subnet: '10.5.0.0/24', AuxiliaryAddresses: { router: '10.5.0.9' } })));
    await networks.create(newNetwork('auto'));
    const fixed = (network: string, IPv4Address: string) => endpoint(network, { IPAMConfig: { IPv4Address } });
    const { endpoints } = await networks.attach(newSandbox('a', [fixed('web', '10.5.0.7')]));
    assert.equal(endpoints.web?.ipv4, '10.5.0.7');
    const refused = (network: string, address: string, code: string, pattern: RegExp) =>
      fails(() => networks.attach(newSandbox('b', [fixed(network, address)])), code, pattern);
    await refused('web', '10.5.0.7', 'conflict', /Address already in use by container a/);
    await refused('web', '10.5.0.1', 'conflict', /Address already in use as the gateway/);
    await refused('web', '10.5.0.9', 'conflict', /Address already in use as the auxiliary address router/);
    await refused('web', '10.6.0.7', 'invalid', /no configured subnet or ip-range contain the IP address 10.6.0.7/);
    await refused('web', 'x', 'invalid', /invalid IPv4 address: x/);
    await refused('auto', '172.18.0.9', 'invalid', /supported only when connecting to networks with user configured subnets/);
    await refused('bridge', '172.17.0.9', 'invalid', /user specified IP address is supported on user defined networks only/);
    const check = (request: Parameters<typeof networks.check>[0], pattern: RegExp) => assert.throws(() => networks.check(request), pattern);
    check(newSandbox('c', [endpoint('bridge', { Aliases: ['x'] })]), /network-scoped aliases are only supported/);
    check(newSandbox('c', [endpoint('web', { MacAddress: 'zz' })]), /invalid MAC address/);
    check(newSandbox('c', [endpoint('web', { Links: ['nobody:x'] })]), /could not get container for nobody/);
    check(newSandbox('c', ['web', 'none']), /private \(none\) mode/);
    check(newSandbox('c', ['web', 'host']), /host network/);
    check(newSandbox('c', ['web', 'web']), /named twice/);
    check(newSandbox('c', ['missing']), /network missing not found/);
    check(newSandbox('c', ['web'], publishing({ '80/tcp': [{ HostIp: '', HostPort: '70000' }] })), /invalid port specification/);
    assert.equal(networks.inspect('web').endpoints[containerId('b')], undefined);
  });

  it('a full network says so; a failure in the kernel leaves nothing', async (context) => {
    const { networks, calls } = await startDaemon(context);
    await networks.create(newNetwork('tiny', ipam({ Subnet: '10.5.0.0/30' })));
    calls.failures.set('createSandbox', new Error('no'));
    await assert.rejects(networks.attach(newSandbox('a', ['tiny'])), /no/);
    await networks.attach(newSandbox('a', ['tiny']));
    await fails(
      () => networks.attach(newSandbox('b', ['tiny'])),
      'conflict',
      /no available IPv4 addresses on this network's address pools: tiny/,
    );
  });

  it('chooses the gateway by priority, then by name, never an internal network', async (context) => {
    const { networks, calls } = await startDaemon(context);
    await networks.create(newNetwork('aaa', { internal: true }));
    await networks.create(newNetwork('bbb'));
    await networks.create(newNetwork('ccc', { enableIPv6: true }));
    await networks.attach(newSandbox('a', ['ccc', 'bbb', 'aaa']));
    const spec = calls.sandboxes.get(containerId('a'))?.spec;
    const names = spec?.endpoints.map(({ interfaceName, v4, v6 }) => [interfaceName, v4?.isDefaultGateway, v6?.isDefaultGateway]);
    assert.deepEqual(names, [
      ['eth0', false, true],
      ['eth1', true, undefined],
      ['eth2', false, undefined],
    ]);
    assert.deepEqual(
      spec?.dns?.networks.map(({ name }) => name),
      ['aaa', 'bbb', 'ccc'],
    );
    assert.equal(spec?.endpoints[2]?.v4?.gateway, '');
    await networks.attach(newSandbox('b', ['bbb', endpoint('ccc', { GwPriority: 1 })]));
    assert.equal(calls.sandboxes.get(containerId('b'))?.spec.endpoints[1]?.v4?.isDefaultGateway, true);
    await networks.attach(newSandbox('c', ['aaa']));
    assert.equal(calls.sandboxes.get(containerId('c'))?.spec.dns?.forward, false);
  });

  it('links, sysctls, interface names and the same MAC twice', async (context) => {
    const { networks, calls, warnings } = await startDaemon(context);
    await networks.create(newNetwork('web'));
    networks.setContainerLookup((reference) => (reference === 'db' ? containerId('db') : null));
    const DriverOpts = {
      'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.IFNAME.log_martians=1',
      'com.docker.network.endpoint.ifname': 'lan0',
    };
    await networks.attach(newSandbox('a', [endpoint('web', { Links: ['db:database'], DriverOpts, MacAddress: '02-00-00-00-00-07' })]));
    const spec = calls.sandboxes.get(containerId('a'))?.spec;
    assert.deepEqual({ ...spec?.dns?.links }, { database: containerId('db') });
    assert.deepEqual(
      [spec?.endpoints[0]?.interfaceName, spec?.endpoints[0]?.sysctls],
      ['lan0', { 'net.ipv4.conf.lan0.log_martians': '1' }],
    );
    await networks.attach(newSandbox('b', [endpoint('web', { MacAddress: '02:00:00:00:00:07' })]));
    assert.match(warnings.join(), /two containers of one network have the same MAC/);
    assert.throws(
      () => networks.check(newSandbox('c', [endpoint('web', { DriverOpts: { 'com.docker.network.endpoint.sysctls': 'kernel.x=1' } })])),
      /unrecognised network interface sysctl/,
    );
    assert.throws(
      () => networks.check(newSandbox('c', [endpoint('web', { DriverOpts: { 'com.docker.network.x': '1' } })])),
      /unknown option of an endpoint/,
    );
  });
});

describe('ports', () => {
  const bind = (HostPort: string, HostIp = '') => [{ HostIp, HostPort }];

  it('are shown as Docker shows them', async (context) => {
    const { networks } = await startDaemon(context);
    const request = newSandbox(
      'a',
      ['bridge'],
      publishing({ '80': bind('8080'), '53/udp': bind('5353', '127.0.0.1'), '90/tcp': [] }, { exposed: ['443/tcp'] }),
    );
    const { ports } = await networks.attach(request);
    assert.deepEqual(ports, {
      '443/tcp': null,
      '80/tcp': [
        { HostIp: '0.0.0.0', HostPort: '8080' },
        { HostIp: '::', HostPort: '8080' },
      ],
      '53/udp': [{ HostIp: '127.0.0.1', HostPort: '5353' }],
      '90/tcp': [
        { HostIp: '0.0.0.0', HostPort: '32768' },
        { HostIp: '::', HostPort: '32768' },
      ],
    });
    const owners = networks.publishedPorts();
    assert.deepEqual(owners.find(({ hostPort }) => hostPort === 5353)?.reachableFrom, ['host']);
    assert.deepEqual(owners.find(({ hostPort }) => hostPort === 8080)?.reachableFrom, ['host', 'containers', 'network']);
    assert.deepEqual([owners[0]?.containerName, owners[0]?.networkName, owners[0]?.how], ['a', 'bridge', 'nat']);
  });

  it('-P publishes what is exposed; ranges take what is free; --ip and the network say where', async (context) => {
    const { networks } = await startDaemon(context, { settings: { publishAddress: '127.0.0.1' } });
    await networks.create(
      newNetwork('open', { options: { 'com.docker.network.bridge.host_binding_ipv4': '0.0.0.0', 'gantry.publish-mode': 'proxy' } }),
    );
    const { ports } = await networks.attach(
      newSandbox('a', ['bridge'], publishing({}, { exposed: ['80/tcp', '81/udp'], publishAll: true })),
    );
    assert.deepEqual(
      Object.entries(ports).map(([key, bindings]) => [key, bindings?.map(({ HostIp }) => HostIp)]),
      [
        ['80/tcp', ['127.0.0.1']],
        ['81/udp', ['127.0.0.1']],
      ],
    );
    const range = { '80/tcp': bind('9000-9001') };
    await networks.attach(newSandbox('b', ['open'], publishing(range)));
    const second = await networks.attach(newSandbox('c', ['open'], publishing(range)));
    assert.deepEqual(
      second.ports['80/tcp']?.map(({ HostIp, HostPort }) => `${HostIp} ${HostPort}`),
      ['0.0.0.0 9001', ':: 9001'],
    );
    assert.equal(networks.publishedPorts().find(({ hostPort }) => hostPort === 9001)?.how, 'proxy');
    await fails(() => networks.attach(newSandbox('d', ['open'], publishing({ '9/sctp': bind('9') }))), 'invalid', /sctp has no proxy/);
  });

  it('nothing is published where neither rules nor a proxy may lead to it; the rest works', async (context) => {
    const { networks, calls } = await startDaemon(context, { settings: { firewall: false, userlandProxy: false } });
    const refused = /cannot publish 80\/tcp: with --iptables=false and --userland-proxy=false nothing leads/;
    await fails(() => networks.attach(newSandbox('a', ['bridge'], publishing({ '80/tcp': bind('8080') }))), 'invalid', refused);
    assert.equal(calls.sandboxes.size, 0);
    await networks.attach(newSandbox('a', ['bridge']));
    const change = { add: { '80/tcp': bind('8080') }, remove: {} };
    await fails(() => networks.changePorts(newSandbox('a', ['bridge']).containerId, change), 'invalid', refused);
  });

  it('a conflict names the holder and leaves nothing', async (context) => {
    const { networks, calls } = await startDaemon(context);
    await networks.attach(newSandbox('a', ['bridge'], publishing({ '80/tcp': bind('8080') })));
    await fails(
      () => networks.attach(newSandbox('b', ['bridge'], publishing({ '81/tcp': bind('8080', '127.0.0.1') }))),
      'conflict',
      /Bind for 127.0.0.1:8080 failed: port is already allocated by container a/,
    );
    calls.host.listeners.add('tcp 0.0.0.0:22');
    await fails(
      () => networks.attach(newSandbox('b', ['bridge'], publishing({ '22/tcp': bind('22') }))),
      'conflict',
      /endpoint b \([0-9a-f]{64}\): Bind for 0.0.0.0:22 failed: port is already allocated/,
    );
    assert.equal(calls.sandboxes.size, 1);
    const { endpoints } = await networks.attach(newSandbox('b', ['bridge']));
    assert.equal(endpoints.bridge?.ipv4, '172.17.0.5');
  });

  it('change on a running container', async (context) => {
    const { networks } = await startDaemon(context);
    const id = containerId('a');
    await networks.attach(newSandbox('a', ['bridge'], publishing({ '80/tcp': bind('8080'), '81/tcp': bind('8081') })));
    const added = await networks.changePorts(id, { add: { '82/tcp': bind('8082') }, remove: { '80/tcp': [] } });
    assert.deepEqual(
      Object.entries(added.ports).map(([key, bindings]) => [key, bindings?.[0]?.HostPort]),
      [
        ['80/tcp', undefined],
        ['81/tcp', '8081'],
        ['82/tcp', '8082'],
      ],
    );
    const moved = await networks.changePorts(id, { add: { '81/tcp': bind('9081') }, remove: { '81/tcp': bind('8081') } });
    assert.equal(moved.ports['81/tcp']?.[0]?.HostPort, '9081');
    await fails(
      () => networks.changePorts(id, { add: {}, remove: { '99/tcp': [] } }),
      'not-found',
      /port 99\/tcp of container a is not published/,
    );
    await networks.attach(newSandbox('b', ['bridge'], publishing({ '80/tcp': bind('7000') })));
    await fails(
      () => networks.changePorts(id, { add: { '80/tcp': bind('7000') }, remove: {} }),
      'conflict',
      /already allocated by container b/,
    );
  });
});

describe('connect and disconnect', () => {
  it('move the default route and the ports', async (context) => {
    const { networks, calls, events } = await startDaemon(context);
    const id = containerId('a');
    await networks.create(newNetwork('zzz'));
    await networks.create(newNetwork('mmm'));
    await networks.attach(newSandbox('a', ['zzz'], publishing({ '80/tcp': [] })));
    const before = networks.publishedPorts()[0];
    const joined = await networks.connect(id, endpoint('mmm', { Aliases: ['x'] }));
    assert.deepEqual(Object.keys(joined.endpoints), ['zzz', 'mmm']);
    assert.equal(joined.endpoints.mmm?.interfaceName, 'eth1');
    const after = networks.publishedPorts()[0];
    assert.deepEqual([after?.networkName, after?.hostPort], ['mmm', before?.hostPort]);
    assert.equal(calls.sandboxes.get(id)?.gateways.v4, joined.endpoints.mmm?.endpointId);
    await fails(() => networks.connect(id, endpoint('mmm')), 'forbidden', /endpoint with name a already exists in network mmm/);
    const left = await networks.disconnect(id, 'mmm');
    assert.deepEqual(Object.keys(left.endpoints), ['zzz']);
    assert.deepEqual([networks.publishedPorts()[0]?.networkName, networks.publishedPorts()[0]?.hostPort], ['zzz', before?.hostPort]);
    await fails(() => networks.disconnect(id, 'mmm'), 'forbidden', /container a is not connected to network mmm/);
    const none = await networks.disconnect(id, 'zzz');
    assert.deepEqual([none.endpoints, none.ports], [{}, { '80/tcp': null }]);
    const back = await networks.connect(id, endpoint('mmm'));
    assert.equal(back.ports['80/tcp']?.length, 2);
    assert.deepEqual(
      events.slice(-4).map(({ action }) => action),
      ['connect', 'disconnect', 'disconnect', 'connect'],
    );
    await networks.remove('zzz');
  });

  it('a failure changes nothing; a container without a network is told', async (context) => {
    const { networks, calls } = await startDaemon(context);
    await networks.create(newNetwork('one'));
    await networks.attach(newSandbox('a', ['bridge']));
    calls.failures.set('addEndpoint', new Error('no'));
    await assert.rejects(networks.connect(containerId('a'), endpoint('one')), /no/);
    await networks.remove('one');
    await fails(() => networks.connect(containerId('b'), endpoint('bridge')), 'conflict', /has no network of its own/);
  });

  it('rename changes what DNS answers', async (context) => {
    const { networks, calls } = await startDaemon(context);
    await networks.create(newNetwork('web'));
    const { endpoints } = await networks.attach(newSandbox('a', ['web', 'bridge']));
    await networks.rename(containerId('a'), 'b');
    const expected = ['b', containerId('a').slice(0, 12), 'a-host'];
    assert.deepEqual(calls.names.get(endpoints.web?.endpointId ?? ''), expected);
    assert.deepEqual(networks.sandbox(containerId('a'))?.endpoints.web?.dnsNames, expected);
    assert.equal(calls.names.size, 1);
  });
});

describe('restore', () => {
  const runs = (name: string, pid = 42) => ({
    containerId: containerId(name),
    containerName: name,
    pid,
    kept: { pid: 41, descriptors: [{ label: 'port/tcp/0.0.0.0/8080', fd: 7 }] },
  });

  it('takes over what runs, forgets what does not', async (context) => {
    const daemon = await startDaemon(context);
    await daemon.networks.create(newNetwork('web'));
    const before = await daemon.networks.attach(
      newSandbox('a', [endpoint('web', { Aliases: ['www'] })], publishing({ '80/tcp': [{ HostIp: '', HostPort: '8080' }] })),
    );
    await daemon.networks.attach(newSandbox('b', ['web']));
    const next = await daemon.restart({ running: [runs('a')] });
    const sandbox = next.calls.restored?.sandboxes[0];
    assert.deepEqual([sandbox?.pid, sandbox?.kept.pid, sandbox?.ports.length], [42, 41, 2]);
    assert.deepEqual(next.networks.sandbox(containerId('a'))?.endpoints, before.endpoints);
    assert.deepEqual(next.networks.sandbox(containerId('a'))?.ports, before.ports);
    assert.equal(next.networks.sandbox(containerId('b')), null);
    await fails(
      () => next.networks.attach(newSandbox('c', ['web'], publishing({ '80/tcp': [{ HostIp: '', HostPort: '8080' }] }))),
      'conflict',
      /container a/,
    );
    const addresses = await Promise.all(
      ['c', 'd'].map(async (name) => (await next.networks.attach(newSandbox(name, ['web']))).endpoints.web?.ipv4),
    );
    assert.ok(!addresses.includes(before.endpoints.web?.ipv4));
    const last = await next.restart();
    assert.equal(last.calls.restored?.sandboxes.length, 0);
    await last.networks.remove('web');
  });

  it('what cannot be taken over keeps its address until it ends', async (context) => {
    const daemon = await startDaemon(context);
    await daemon.networks.attach(newSandbox('a', ['bridge']));
    const next = await daemon.restart({ running: [runs('a', -1)] });
    assert.match(next.warnings.join(), /could not be taken over/);
    assert.equal(next.networks.sandbox(containerId('a')), null);
    await fails(() => next.networks.disconnect(containerId('a'), 'bridge'), 'unavailable', /restart the container/);
    assert.equal((await next.networks.attach(newSandbox('b', ['bridge']))).endpoints.bridge?.ipv4, '172.17.0.3');
    await next.networks.detach(containerId('a'));
  });

  it('options that changed wait while containers run on the default bridge', async (context) => {
    const daemon = await startDaemon(context);
    await daemon.networks.attach(newSandbox('a', ['bridge']));
    const next = await daemon.restart({ running: [runs('a')], settings: { bridgeAddress: '10.1.0.1/24' } });
    assert.match(next.warnings.join(), /not in force yet/);
    assert.deepEqual(subnetOf(next.networks, 'bridge'), ['172.17.0.0/16']);
    const last = await next.restart({ settings: { bridgeAddress: '10.1.0.1/24' } });
    assert.deepEqual(subnetOf(last.networks, 'bridge'), ['10.1.0.0/24']);
  });

  it('of two daemons with the same default subnet the younger gives way', async (context) => {
    let done = false;
    const daemon = await startDaemon(context, {
      prepare(calls) {
        calls.before = (call) => {
          if (call !== 'restore' || done) return;
          done = true;
          calls.host.subnets.push({ subnet: '172.17.0.0/16', device: 'gantry0-other', index: 1, ours: false });
        };
      },
    });
    assert.deepEqual(subnetOf(daemon.networks, 'bridge'), ['172.18.0.0/20']);
    assert.deepEqual(
      [...daemon.calls.bridges.values()].map(({ v4 }) => v4?.subnet),
      ['172.18.0.0/20'],
    );
  });
});

describe('list and prune', () => {
  it('every filter', async (context) => {
    const { networks } = await startDaemon(context);
    await networks.create(newNetwork('front', { labels: { app: 'web' } }));
    await networks.create(newNetwork('back', { driver: 'macvlan', labels: { app: 'db', keep: '' } }));
    networks.setUsers((_id, name) => (name === 'front' ? [containerId('stopped')] : []));
    const names = (filters: Record<string, readonly string[]>) =>
      networks
        .list(filters)
        .map(({ name }) => name)
        .sort();
    assert.deepEqual(names({ name: ['ron'] }), ['front']);
    assert.deepEqual(names({ name: ['^back$', '^host$'] }), ['back', 'host']);
    assert.deepEqual(names({ driver: ['macvlan'] }), ['back']);
    assert.deepEqual(names({ id: [networks.inspect('back').id.slice(0, 8)] }), ['back']);
    assert.deepEqual(names({ label: ['app'] }), ['back', 'front']);
    assert.deepEqual(names({ label: ['app=web', 'keep'] }), []);
    assert.deepEqual(names({ type: ['custom'] }), ['back', 'front']);
    assert.deepEqual(names({ type: ['builtin'] }), ['bridge', 'host', 'none']);
    assert.deepEqual(names({ scope: ['swarm'] }), []);
    assert.deepEqual(names({ dangling: ['true'] }), ['back']);
    assert.throws(() => networks.list({ x: ['y'] }), /invalid filter 'x'/);
    assert.throws(() => networks.list({ type: ['y'] }), /invalid filter/);
    assert.deepEqual(await networks.prune({ until: ['24h'] }), []);
    assert.deepEqual(await networks.prune({ 'label!': ['app'] }), []);
    assert.deepEqual(await networks.prune({ label: ['app'] }), ['back']);
    await assert.rejects(networks.prune({ name: ['x'] }), /invalid filter 'name'/);
  });
});
