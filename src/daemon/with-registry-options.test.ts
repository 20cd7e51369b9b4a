import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withRegistryOptions, withRegistrySettings } from './with-registry-options.ts';

const read = (value: string | null, config: string | null = null) =>
  withRegistryOptions(
    new Map([
      ...(value === null ? [] : [['with-registry', [value]] as const]),
      ...(config === null ? [] : [['registry-config', [config]] as const]),
    ]),
  );

test('withRegistryOptions: nothing, yes, a port, an address', () => {
  assert.equal(read(null), null);
  assert.equal(read('false'), null);
  assert.deepEqual(read('true'), { listen: null, configFile: null });
  assert.deepEqual(read('5001')?.listen, { host: '127.0.0.1', port: 5001 });
  assert.deepEqual(read(':5001')?.listen, { host: '127.0.0.1', port: 5001 });
  assert.deepEqual(read('[::1]:5001')?.listen, { host: '::1', port: 5001 });
  assert.deepEqual(read('registry.lan')?.listen, { host: 'registry.lan', port: 5000 });
  assert.deepEqual(read('true', '/etc/r.json'), { listen: null, configFile: '/etc/r.json' });
});

test('withRegistryOptions: what is no address, and a file for no registry, are refused with what to write', () => {
  assert.throws(() => read('http://x'), /invalid value for --with-registry: "http:\/\/x" is no address: write HOST:PORT/);
  assert.throws(() => read('127.0.0.1:99999'), /is no address/);
  assert.throws(() => read(null, '/etc/r.json'), /--registry-config is for --with-registry/);
  assert.throws(() => read('true', 'r.json'), /is not an absolute path/);
});

test('withRegistrySettings: the configuration file has true, false or an address', () => {
  const [setting] = withRegistrySettings;
  assert.deepEqual(setting?.fromJson?.(true, 'with-registry'), ['true']);
  assert.deepEqual(setting?.fromJson?.('127.0.0.1:1', 'with-registry'), ['127.0.0.1:1']);
  assert.throws(() => setting?.fromJson?.(5000, 'with-registry'), /with-registry must be true, false or an address/);
});
