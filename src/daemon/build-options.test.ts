import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildOptions, buildSettings } from './build-options.ts';

const limit = (...texts: readonly string[]) => buildOptions(new Map([['build-cache-limit', texts]])).cacheLimitBytes;
const fromFile = (value: unknown) => buildSettings[0]?.fromJson?.(value, 'f: builder.gc');

test('--build-cache-limit: a size, or off; its own default when nothing is said', () => {
  assert.equal(limit(), null);
  assert.equal(limit('10GB'), 10 * 1024 ** 3);
  assert.equal(limit('0'), 0);
  assert.equal(limit('off'), Number.POSITIVE_INFINITY);
  assert.throws(() => limit('much'), /--build-cache-limit: "much" is no size/);
});

test("builder.gc of dockerd's configuration file", () => {
  assert.deepEqual(fromFile({ enabled: true, defaultKeepStorage: '20GB' }), ['20GB']);
  assert.deepEqual(fromFile({ defaultMaxUsedSpace: 5 }), ['5']);
  assert.deepEqual(fromFile({ enabled: false, defaultKeepStorage: '20GB' }), ['off']);
  assert.deepEqual(fromFile({ enabled: true }), []);
  assert.throws(() => fromFile({ policy: [] }), /builder.gc.policy is not supported/);
  assert.throws(() => fromFile(true), /must be an object/);
});
