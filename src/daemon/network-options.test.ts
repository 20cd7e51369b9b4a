import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { defaultNetworkSettings } from '../network/network-settings.ts';
import { readDaemonOptions } from './daemon-options.ts';

const read = (...argv: readonly string[]) => {
  const options = readDaemonOptions(argv);
  assert.ok(typeof options === 'object');
  return options.network;
};

describe('networkSettings', () => {
  it('are the defaults without options', () => {
    assert.deepEqual(read(), defaultNetworkSettings);
  });

  it('reads every option, in canonical form', () => {
    const network = read(
      ...['--bip=10.9.0.1/24', '--bip6=FD00:0::1/64', '--fixed-cidr=10.9.0.128/25', '--fixed-cidr-v6=fd00::/80', '--ipv6', '--mtu=1400'],
      ...['--default-gateway=10.9.0.254', '--default-gateway-v6=fd00::2', '--default-address-pool', 'base=10.0.0.0/8,size=24'],
      ...['--default-address-pool=scope=local,base=fd01::/48,size=64', '--default-network-opt=bridge=com.docker.network.driver.mtu=1300'],
      ...['--icc=false', '--ip=127.0.0.1', '--ip-forward=false', '--ip-masq=false', '--iptables=false', '--ip6tables=false'],
      ...['--userland-proxy=false', '--dns=192.0.2.1', '--dns-opt=ndots:2', '--dns-search=example.org', '--publish-mode=proxy'],
      ...['--host-gateway-ip=192.0.2.7', '--host-gateway-ip=fd00::7', '--forward-jump=false'],
    );
    assert.deepEqual(network, {
      bridge: null,
      bridgeAddress: '10.9.0.1/24',
      bridgeAddress6: 'fd00::1/64',
      fixedCidr: '10.9.0.128/25',
      fixedCidr6: 'fd00::/80',
      ipv6: true,
      defaultGateway: '10.9.0.254',
      defaultGateway6: 'fd00::2',
      addressPools: [
        { base: '10.0.0.0/8', size: 24 },
        { base: 'fd01::/48', size: 64 },
      ],
      networkOptions: { bridge: { 'com.docker.network.driver.mtu': '1300' } },
      mtu: 1400,
      icc: false,
      masquerade: false,
      publishAddress: '127.0.0.1',
      publishMode: 'proxy',
      ipForward: false,
      firewall: false,
      firewall6: false,
      hardened: false,
      forwardJump: false,
      userlandProxy: false,
      dns: { servers: ['192.0.2.1'], search: ['example.org'], options: ['ndots:2'] },
      hostGatewayIps: ['192.0.2.7', 'fd00::7'],
    });
    assert.equal(read('-b', 'none').bridge, 'none');
    assert.equal(read('--ip', '0.0.0.0').publishAddress, '');
  });

  it("reads dockerd's shapes of the configuration file", (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'gantry-options-'));
    context.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'daemon.json');
    const readFile = (config: object) => {
      writeFileSync(file, JSON.stringify(config));
      return read('--config-file', file);
    };
    const network = readFile({
      'default-address-pools': [{ base: '10.0.0.0/8', size: 24 }],
      'default-network-opts': { bridge: { 'com.docker.network.driver.mtu': '1300' } },
      dns: ['192.0.2.1'],
      mtu: 1400,
      'userland-proxy': false,
    });
    assert.deepEqual(network.addressPools, [{ base: '10.0.0.0/8', size: 24 }]);
    assert.deepEqual(network.networkOptions, { bridge: { 'com.docker.network.driver.mtu': '1300' } });
    assert.deepEqual([network.mtu, network.userlandProxy, network.dns.servers], [1400, false, ['192.0.2.1']]);
    assert.throws(() => readFile({ 'default-address-pools': ['10.0.0.0/8'] }), /must be a list of objects with base and size/);
    assert.throws(() => readFile({ 'default-network-opts': { bridge: { x: 1 } } }), /bridge: x must be a string/);
  });

  it('refuses what is wrong by the name of the option', () => {
    for (const [argv, pattern] of [
      [['--bip=10.0.0.0/24'], /--bip: "10.0.0.0\/24" is the address of a whole network/],
      [['--bip=10.0.0.1'], /--bip: "10.0.0.1" is no IPv4 address with a prefix/],
      [['--bip=fd00::1/64'], /--bip/],
      [['--bip=10.0.0.1/24', '--fixed-cidr=10.1.0.0/25'], /--fixed-cidr 10.1.0.0\/25 does not lie in the subnet of --bip/],
      [['--bip=10.0.0.1/24', '--default-gateway=10.1.0.1'], /--default-gateway 10.1.0.1 does not lie/],
      [['--bip=10.0.0.1/24', '--bridge=br0'], /mutually exclusive/],
      [['--bridge=a-name-that-is-too-long'], /--bridge/],
      [['--default-address-pool=base=10.0.0.0/16,size=8'], /invalid size: 16 to 30/],
      [['--default-address-pool=10.0.0.0/16'], /is not base=CIDR,size=PREFIX/],
      [['--default-network-opt=bridge=x'], /is not DRIVER=OPTION=VALUE/],
      [['--default-network-opt=bridge=com.docker.network.x=1'], /unknown option "com.docker.network.x"/],
      [['--default-network-opt=overlay=a=b'], /is no driver/],
      [['--mtu=12'], /--mtu/],
      [['--ip=everywhere'], /--ip/],
      [['--dns=one.one.one.one'], /--dns/],
      [['--host-gateway-ip=192.0.2.1', '--host-gateway-ip=192.0.2.2'], /more than one IPv4/],
      [['--publish-mode=magic'], /neither nat nor proxy/],
      [['--icc=perhaps'], /--icc/],
    ] as const)
      assert.throws(() => read(...argv), pattern, argv.join(' '));
  });
});
