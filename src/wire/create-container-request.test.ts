import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeCreateContainer } from './create-container-request.ts';

const nothing = { IPAMConfig: null, Links: null, Aliases: null, MacAddress: '', DriverOpts: null, GwPriority: 0 };

function endpointsOf(body: object, apiMinor = 51) {
  return decodeCreateContainer({ Image: 'x', ...body }, apiMinor).endpoints;
}

const onNetworks = (EndpointsConfig: object) => ({ NetworkingConfig: { EndpointsConfig } });

describe('endpoints of decodeCreateContainer', () => {
  it('the docker CLI sends all fields under `default`, which is the bridge', () => {
    const sent = {
      ...{ IPAMConfig: null, Links: null, Aliases: null, MacAddress: '', DriverOpts: null, NetworkID: '', EndpointID: '', Gateway: '' },
      ...{ IPAddress: '', IPPrefixLen: 0, IPv6Gateway: '', GlobalIPv6Address: '', GlobalIPv6PrefixLen: 0, DNSNames: null },
    };
    assert.deepEqual(endpointsOf(onNetworks({ default: sent })), { bridge: nothing });
  });

  it('what is missing or null asks for nothing', () => {
    assert.deepEqual(endpointsOf({}), {});
    assert.deepEqual(endpointsOf({ NetworkingConfig: null }), {});
    assert.deepEqual(endpointsOf(onNetworks({ n: null, m: { Aliases: [], IPAMConfig: { IPv4Address: '', LinkLocalIPs: null } } })), {
      n: nothing,
      m: { ...nothing, Aliases: [], IPAMConfig: {} },
    });
  });

  it('everything asked for arrives', () => {
    const asked = {
      IPAMConfig: { IPv4Address: '10.0.0.2', IPv6Address: 'fd00::2', LinkLocalIPs: ['169.254.1.1'] },
      Links: ['a:b'],
      Aliases: ['x'],
      MacAddress: '02:42:0a:00:00:02',
      DriverOpts: { k: 'v' },
      GwPriority: 7,
    };
    assert.deepEqual(endpointsOf(onNetworks({ n: asked })), { n: asked });
  });

  it('several came with 1.44', () => {
    assert.throws(() => endpointsOf(onNetworks({ a: {}, b: {} }), 43), /Container cannot be connected to network endpoints: a, b/);
    assert.deepEqual(Object.keys(endpointsOf(onNetworks({ a: {}, b: {} }), 44)), ['a', 'b']);
  });
});

describe('MacAddress of the container', () => {
  const MacAddress = '02:42:ac:11:00:02';

  it('is the address of its first network', () => {
    assert.deepEqual(endpointsOf({ MacAddress }, 41), { bridge: { ...nothing, MacAddress } });
    assert.deepEqual(endpointsOf({ MacAddress, HostConfig: { NetworkMode: 'n' }, ...onNetworks({ n: { Aliases: ['x'] } }) }, 41), {
      n: { ...nothing, Aliases: ['x'], MacAddress },
    });
  });

  it('is told to be old since 1.44, and must not contradict', () => {
    const { endpoints, warnings } = decodeCreateContainer({ MacAddress, ...onNetworks({ bridge: { MacAddress } }) }, 44);
    assert.equal(endpoints.bridge?.MacAddress, MacAddress);
    assert.match(warnings[0] ?? '', /deprecated/);
    assert.throws(
      () => decodeCreateContainer({ MacAddress, ...onNetworks({ bridge: { MacAddress: '02:42:ac:11:00:03' } }) }, 44),
      /must match the endpoint-specific MAC address/,
    );
  });

  it('of endpoints means nothing before 1.44', () => {
    assert.deepEqual(endpointsOf(onNetworks({ n: { MacAddress } }), 43), { n: nothing });
  });

  it('needs a network of its own', () => {
    assert.throws(() => endpointsOf({ MacAddress, HostConfig: { NetworkMode: 'host' } }, 41), /mac-address and the network mode/);
  });
});

it('mounts: owners, image subpaths', () => {
  const mounts = [
    { Type: 'bind', Source: '/a', Target: '/b', BindOptions: { Idmap: 'owner=1:2' } },
    { Type: 'volume', Source: 'v', Target: '/c', VolumeOptions: { Idmap: 'uids=0-1-1', Subpath: 's' } },
    { Type: 'image', Source: 'i', Target: '/d', ImageOptions: { Subpath: 'etc' } },
  ];
  assert.deepEqual(decodeCreateContainer({ Image: 'x', HostConfig: { Mounts: mounts } }, 51).hostConfig.Mounts, mounts);
});

it('ports without a protocol are TCP, and one port under two names is one', () => {
  const bindings = { '80': [{ HostPort: '1' }], '80/tcp': [{ HostIp: '::1', HostPort: '2' }], '53/UDP': null };
  assert.deepEqual(decodeCreateContainer({ Image: 'x', HostConfig: { PortBindings: bindings } }, 51).hostConfig.PortBindings, {
    '80/tcp': [
      { HostIp: '', HostPort: '1' },
      { HostIp: '::1', HostPort: '2' },
    ],
    '53/udp': [],
  });
});
