import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import Type from 'typebox';
import { decodeCreateContainer } from './create-container-request.ts';
import { decoderOf, Int64, KeySet, StringMap, Words } from './decode.ts';
import { decodeNetworkConnect, decodeNetworkCreate, decodeNetworkDisconnect, decodePortChange } from './network-requests.ts';
import { decodeVolumeCopy, decodeVolumeCreate } from './volume-requests.ts';

const decode = decoderOf(
  Type.Object({
    Name: Type.Optional(Type.String()),
    Count: Type.Optional(Int64),
    Words: Type.Optional(Words),
    Labels: Type.Optional(StringMap),
    Set: Type.Optional(KeySet),
    Lists: Type.Optional(Type.Record(Type.String(), Type.Array(Type.Object({ Port: Type.Optional(Type.String()) })))),
  }),
);

describe('decoderOf forgives what Go forgives', () => {
  it('the case of known keys; the last one wins', () => assert.deepEqual(decode({ NAME: 'a', name: 'b' }), { Name: 'b' }));
  it('unknown keys', () => assert.deepEqual(decode({ Other: 1, name: 'b' }), { Name: 'b' }));
  it('null for absent', () => assert.deepEqual(decode({ Name: null, Words: null }), {}));
  it('an absent body', () => assert.deepEqual(decode(null), {}));
  it('one string for a list of one', () => assert.deepEqual(decode({ Words: 'ls' }), { Words: ['ls'] }));
  it('null inside maps and lists', () =>
    assert.deepEqual(decode({ Labels: { a: null }, Lists: { x: null, y: [null] }, Words: [null] }), {
      Labels: { a: '' },
      Lists: { x: [], y: [{}] },
      Words: [''],
    }));
  it('keys of maps as they are', () => {
    const { Labels } = decode(JSON.parse('{"Labels":{"__proto__":"x","constructor":"y","NAME":"z"}}'));
    assert.deepEqual(Object.entries(Labels ?? {}), [
      ['__proto__', 'x'],
      ['constructor', 'y'],
      ['NAME', 'z'],
    ]);
    assert.equal(Object.getPrototypeOf(Labels), Object.prototype);
  });
});

describe('decoderOf refuses by name', () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [[], /the body must be an object, not a list/],
    ['x', /the body must be an object, not a string/],
    [{ Name: 1 }, /Name must be a string, not a number/],
    [{ Count: '1' }, /Count must be an integer, not a string/],
    [{ Count: 1.5 }, /Count must be an integer, not a fraction/],
    [{ Count: 2 ** 60 }, /Count is out of range/],
    [{ Labels: { a: 1 } }, /Labels.a must be a string, not a number/],
    [{ Lists: { 'a/b': [{ Port: 1 }] } }, /Lists.a\/b.0.Port must be a string/],
    [{ Set: { a: 1 } }, /Set.a must be an object, not a number/],
  ];
  for (const [body, expected] of cases) {
    it(JSON.stringify(body), () => assert.throws(() => decode(body), expected));
  }
});

it('SEC-18: no JSON crashes decodeCreateContainer, and what passes is whole', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (config, host) => {
      const body = typeof config === 'object' && config !== null && !Array.isArray(config) ? { ...config, HostConfig: host } : config;
      try {
        const { hostConfig } = decodeCreateContainer(body, 51);
        assert.equal(typeof hostConfig.Memory, 'number');
      } catch (error) {
        assert.match(String(error), /EngineError/);
      }
    }),
    { numRuns: 500 },
  );
});

it('SEC-18: no JSON crashes the decoders of networks, ports and volumes', () => {
  const decoders: readonly ((body: unknown) => unknown)[] = [
    (body) => decodeNetworkCreate(body, 51),
    decodeNetworkConnect,
    decodeNetworkDisconnect,
    decodePortChange,
    decodeVolumeCreate,
    decodeVolumeCopy,
  ];
  const keys = fc.constantFrom(
    'Name',
    'IPAM',
    'Config',
    'Container',
    'EndpointConfig',
    'IPAMConfig',
    'Add',
    'Remove',
    'Labels',
    'Options',
    '__proto__',
  );
  const bodies = fc.dictionary(keys, fc.oneof(fc.jsonValue(), fc.dictionary(keys, fc.jsonValue())));
  fc.assert(
    fc.property(bodies, (body) => {
      for (const decodeBody of decoders) {
        try {
          decodeBody(body);
        } catch (error) {
          assert.match(String(error), /EngineError/);
        }
      }
    }),
    { numRuns: 500 },
  );
});
