import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceRequest } from '../device-request.ts';
import { planWish } from './plan-wish.ts';

const request = (given: Partial<DeviceRequest>): DeviceRequest => ({
  Driver: '',
  Count: 0,
  DeviceIDs: null,
  Capabilities: [['gpu']],
  Options: null,
  ...given,
});
const plan = (given: Partial<DeviceRequest>) => planWish({ requests: [request(given)], environment: [], byRuntime: false }, false);
const which = (given: Partial<DeviceRequest>) => plan(given)?.gpus[0]?.which;
const byVariables = (variables: readonly string[], { byRuntime = true, requests = [] as DeviceRequest[], configured = false } = {}) =>
  planWish({ requests, environment: variables, byRuntime }, configured)?.gpus.map(({ makers, which: asked }) => [makers[0]?.maker, asked]);

test('planWish: all, a number, names, nothing', () => {
  assert.deepEqual(which({ Count: -1 }), { kind: 'all' });
  assert.deepEqual(which({ Count: 2 }), { kind: 'count', count: 2 });
  assert.deepEqual(which({ DeviceIDs: ['0', 'GPU-1', '0'] }), { kind: 'ids', ids: ['0', 'GPU-1'] });
  assert.deepEqual(which({ DeviceIDs: ['all'] }), { kind: 'all' });
  assert.deepEqual(which({ DeviceIDs: ['none'] }), { kind: 'driver' });
  assert.deepEqual(which({}), { kind: 'nothing' });
  assert.throws(() => plan({ Count: 1, DeviceIDs: ['0'] }), /^EngineError: cannot set both Count and DeviceIDs on device request$/);
});

test('planWish: the driver and the capabilities choose the makers that are tried', () => {
  const tried = (given: Partial<DeviceRequest>) => plan(given)?.gpus[0]?.makers.map(({ maker }) => maker);
  assert.deepEqual(tried({}), ['nvidia', 'amd', 'intel']);
  assert.deepEqual(tried({ Capabilities: [['gpu', 'compute']] }), ['nvidia']);
  assert.deepEqual(tried({ Capabilities: [['tpu'], ['gpu', 'amd']] }), ['amd']);
  assert.deepEqual(tried({ Driver: 'intel' }), ['intel']);
  const message = (given: Partial<DeviceRequest>) => {
    try {
      plan(given);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.match(
    message({ Capabilities: [['tpu']] }),
    /^could not select device driver "" with capabilities: \[\[tpu\]\]: nothing has "tpu"; there are gpu, nvidia, /,
  );
  assert.match(
    message({ Driver: 'nvidea' }),
    /^could not select device driver "nvidea" with capabilities: \[\[gpu\]\]: there is no driver "nvidea"; there are nvidia, amd, intel, and cdi/,
  );
  assert.match(
    message({
      Driver: 'amd',
      Capabilities: [
        ['gpu', 'compute'],
        ['x', 'y'],
      ],
    }),
    /"amd" with capabilities: \[\[gpu compute\] \[x y\]\]: nothing has "compute", "x", "y"; there are gpu, amd \(amd\)/,
  );
  assert.match(message({ Capabilities: null }), /with capabilities: \[\]: a request has to name capabilities/);
  assert.match(message({ Capabilities: [['amd', 'compute']] }), /no driver has all of them/);
});

test('planWish: exclusive unless the option says no; an option that is nearly that is refused, others are not ours', () => {
  const exclusive = (Options: Record<string, string>) => plan({ Count: 1, Options })?.gpus[0]?.exclusive;
  assert.deepEqual([exclusive({ exclusive: '' }), exclusive({ exclusive: 'true' }), exclusive({ exclusive: '1' })], [true, true, true]);
  assert.deepEqual(
    [exclusive({ exclusive: 'false' }), exclusive({ exclusive: '0' }), exclusive({ virtualization: 'no' })],
    [false, false, false],
  );
  assert.throws(() => exclusive({ exclusiv: 'true' }), /unknown option "exclusiv" of a device request: did you mean "exclusive"/);
});

test('planWish: the driver cdi names devices, and nothing else', () => {
  const asked = plan({ Driver: 'cdi', Capabilities: null, DeviceIDs: ['vendor.com/camera=front'] });
  assert.deepEqual(asked?.names, [{ name: 'vendor.com/camera=front', kind: 'vendor.com/camera', exclusive: false }]);
  assert.throws(() => plan({ Driver: 'cdi', Count: 1 }), /unexpected count in CDI device request/);
  assert.throws(
    () => plan({ Driver: 'cdi', DeviceIDs: ['camera'] }),
    /"camera" is no name of a device: it is written vendor.com\/class=name/,
  );
  assert.equal(plan({ Driver: 'cdi', DeviceIDs: [] }), null);
});

test('planWish: variables are a wish when the runtime or the daemon says so, and nobody says otherwise', () => {
  const all = ['PATH=/bin', 'NVIDIA_VISIBLE_DEVICES=all'];
  assert.equal(byVariables(all, { byRuntime: false }), undefined);
  assert.deepEqual(byVariables(all), [['nvidia', { kind: 'all' }]]);
  assert.deepEqual(byVariables(all, { byRuntime: false, configured: true }), [['nvidia', { kind: 'all' }]]);
  assert.deepEqual(byVariables(['NVIDIA_VISIBLE_DEVICES=all', 'NVIDIA_VISIBLE_DEVICES=0, 2']), [
    ['nvidia', { kind: 'ids', ids: ['0', '2'] }],
  ]);
  assert.deepEqual(byVariables(['NVIDIA_VISIBLE_DEVICES=none']), [['nvidia', { kind: 'driver' }]]);
  assert.deepEqual(byVariables(['AMD_VISIBLE_DEVICES=1']), [['amd', { kind: 'ids', ids: ['1'] }]]);
  for (const nothing of ['', 'void', ' , ']) assert.equal(byVariables([`NVIDIA_VISIBLE_DEVICES=${nothing}`]), undefined);
  assert.equal(byVariables([]), undefined);
  assert.deepEqual(byVariables(all, { requests: [request({ Count: 1 })] }), [['nvidia', { kind: 'count', count: 1 }]]);
  assert.deepEqual(byVariables(all, { requests: [request({ Driver: 'cdi', DeviceIDs: ['nvidia.com/gpu=0'] })] }), []);
  assert.deepEqual(byVariables(all, { requests: [request({ Driver: 'cdi', DeviceIDs: ['v.com/camera=0'] })] }), [
    ['nvidia', { kind: 'all' }],
  ]);
});

test('planWish: what no machine has is not even looked for', () => {
  const asked = (count: number, given: Partial<DeviceRequest>) =>
    planWish({ requests: Array.from({ length: count }, () => request(given)), environment: [], byRuntime: false }, false);
  assert.equal(asked(256, { Count: 1 })?.gpus.length, 256);
  assert.throws(() => asked(257, { Count: 1 }), /there are 257 device requests: at most 256/);
  assert.throws(
    () => asked(1, { DeviceIDs: Array.from({ length: 5000 }, () => '0') }),
    /name 5002 devices, capabilities and options: at most 4096/,
  );
  for (const given of [{ DeviceIDs: ['x'.repeat(2000)] }, { Driver: 'x'.repeat(2000) }, { Options: { a: 'x'.repeat(2000) } }])
    assert.throws(() => asked(1, given), /"x{80}…" in a device request has 2000 characters: at most 1024/);
});
