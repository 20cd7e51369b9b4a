import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeCreateContainer } from './create-container-request.ts';

const requestsOf = (DeviceRequests: unknown) =>
  decodeCreateContainer({ Image: 'x', HostConfig: { DeviceRequests } }, 51).hostConfig.DeviceRequests;
const nothing = { Driver: '', Count: 0, DeviceIDs: null, Capabilities: null, Options: null };

describe('DeviceRequests of decodeCreateContainer', () => {
  it('what is missing or null has Go’s zero value', () => {
    assert.equal(requestsOf(undefined), null);
    assert.equal(requestsOf(null), null);
    assert.deepEqual(requestsOf([]), []);
    assert.deepEqual(requestsOf([{}, null, { Driver: null, Count: null, DeviceIDs: null, Capabilities: null, Options: null }]), [
      nothing,
      nothing,
      nothing,
    ]);
  });

  it('empty lists and maps stay what they are, keys may be written in any case', () => {
    assert.deepEqual(requestsOf([{ count: -1, deviceids: [], CAPABILITIES: [[]], Options: {}, Unknown: 1 }]), [
      { Driver: '', Count: -1, DeviceIDs: [], Capabilities: [[]], Options: {} },
    ]);
  });

  it('everything asked for arrives', () => {
    const asked = {
      Driver: 'nvidia',
      Count: 2,
      DeviceIDs: ['0', 'GPU-1'],
      Capabilities: [['gpu', 'compute'], ['tpu']],
      Options: { a: 'b' },
    };
    assert.deepEqual(requestsOf([asked]), [asked]);
  });

  it('a wrong type is refused by the name of its field', () => {
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      ['all', /HostConfig\.DeviceRequests must be a list/],
      [[7], /DeviceRequests\.0 must be an object/],
      [[{ Count: '1' }], /DeviceRequests\.0\.Count must be an integer, not a string/],
      [[{ Count: 1.5 }], /DeviceRequests\.0\.Count must be an integer/],
      [[{ DeviceIDs: '0' }], /DeviceRequests\.0\.DeviceIDs must be a list/],
      [[{ DeviceIDs: [0] }], /DeviceRequests\.0\.DeviceIDs\.0 must be a string/],
      [[{ Capabilities: ['gpu'] }], /DeviceRequests\.0\.Capabilities\.0 must be a list/],
      [[{ Options: { exclusive: true } }], /DeviceRequests\.0\.Options\.exclusive must be a string/],
    ];
    for (const [value, message] of wrong) assert.throws(() => requestsOf(value), { code: 'invalid', message });
  });
});
