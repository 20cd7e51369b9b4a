import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BridgeFamily, BridgeSpec, PortResult } from '../net-calls.ts';
import { elementsOfBridge, elementsOfEndpoint, elementsOfPort, type TableElement } from './table-elements.ts';

const choices = { ipv6: true, marking: false };
const family: BridgeFamily = { subnet: '', gateway: '', prefix: 24, masquerade: true, hostAddress: '', gatewayMode: 'nat' };
const bridge: BridgeSpec = {
  networkId: 'n',
  networkName: 'n',
  bridge: 'br0',
  own: true,
  mtu: 1500,
  v4: family,
  v6: null,
  internal: false,
  icc: true,
  trustedInterfaces: [],
};
const web: PortResult = { protocol: 'tcp', containerPort: 80, hostIp: '0.0.0.0', hostPort: 8080, targetIp: '10.0.0.2', mode: 'nat' };

function sets(elements: readonly TableElement[]): string[] {
  return elements.map(({ set, data }) => (data === null || data instanceof Uint8Array ? set : `${set} ${data.code} ${data.chain}`.trim()));
}

test('elementsOfBridge: an ordinary network is closed to a family that it does not have', () => {
  assert.deepEqual(sets(elementsOfBridge(bridge, choices)), ['bridges', 'hairpin', 'pairs 1', 'ingress4 0', 'masquerade4', 'ingress6 0']);
});

test('elementsOfBridge: internal networks have no way out, whatever else is wished', () => {
  const internal = { ...bridge, internal: true, trustedInterfaces: ['eth1'] };
  assert.deepEqual(sets(elementsOfBridge(internal, choices)), ['bridges', 'hairpin', 'pairs 1', 'internal']);
});

test('elementsOfBridge: gateway modes and source addresses', () => {
  const spec: BridgeSpec = {
    ...bridge,
    icc: false,
    v4: { ...family, gatewayMode: 'routed' },
    v6: { ...family, gatewayMode: 'nat-unprotected', hostAddress: 'fd00::9' },
    trustedInterfaces: ['eth1'],
  };
  assert.deepEqual(sets(elementsOfBridge(spec, { ipv6: true, marking: true })), [
    'bridges',
    'hairpin',
    'marked',
    'pairs -4 opened',
    'ingress4 -4 routed',
    'ingress6 -4 unprotected',
    'source6',
  ]);
});

test('elementsOfPort: where each kind of publication goes', () => {
  const routed = { ...bridge, v4: { ...family, gatewayMode: 'routed' as const } };
  const trusting = { ...bridge, trustedInterfaces: ['eth1'] };
  const rows: readonly (readonly [PortResult, BridgeSpec | null, readonly string[]])[] = [
    [web, bridge, ['published4any']],
    [web, null, ['published4any']],
    [{ ...web, hostIp: '' }, bridge, ['published4any']],
    [{ ...web, hostIp: '127.0.0.1' }, bridge, ['published4']],
    [{ ...web, hostIp: '::', targetIp: 'fd00::2' }, bridge, ['published6any']],
    [{ ...web, hostIp: 'fd00::1', targetIp: 'fd00::2' }, bridge, ['published6']],
    [{ ...web, hostIp: '::' }, bridge, []],
    [{ ...web, mode: 'proxy' }, bridge, []],
    [web, routed, ['opened4']],
    [web, trusting, ['opened4', 'published4any']],
  ];
  for (const [result, spec, expected] of rows) assert.deepEqual(sets(elementsOfPort(result, spec, choices)), expected);
  assert.equal(Buffer.from(elementsOfPort(web, bridge, choices)[0]?.key ?? []).toString('hex'), '060000001f900000', 'tcp . 8080');
});

test('without IPv6 there are no elements of it', () => {
  const only4 = { ipv6: false, marking: false };
  const both = { ...bridge, v6: family };
  assert.deepEqual(
    [
      ...elementsOfBridge(both, only4),
      ...elementsOfEndpoint({ bridge: 'br0', ipv4: '', ipv6: 'fd00::2' }, only4),
      ...elementsOfPort({ ...web, hostIp: '::', targetIp: 'fd00::2' }, both, only4),
    ].filter(({ set }) => set.includes('6')),
    [],
  );
});
