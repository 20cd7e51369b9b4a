import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';
import { configForHooks, ociBundle } from './oci-config.ts';

const spec: RuntimeSpec = {
  ociVersion: '1.2.0',
  process: { cwd: '/', env: ['LD_PRELOAD=/evil.so'], args: ['true'], user: { uid: 0, gid: 0 } },
  root: { path: '/' },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/run/secrets/a', type: 'memory-file', file: { content: Buffer.from('secret'), mode: 0o400, uid: 0, gid: 0 } },
    { destination: '/v', type: 'bind', source: '/s', subpath: 'below', options: ['ro'] },
  ],
  linux: {
    namespaces: [{ type: 'mount' }],
    intelRdt: { closID: 'gold', schemata: ['L3:0=f', 'MB:0=50', 'L2:0=3'], enableMonitoring: true },
  },
  hooks: { prestart: [{ path: '/h' }], poststop: [{ path: '/h', args: ['h', 'x'], env: ['A=1'], timeout: 3 }] },
};

test('ociBundle: every hook has arguments, an environment and a time-out of its own; Intel RDT in words that older runtimes know', () => {
  const config = JSON.parse(ociBundle({ ...spec, mounts: [] }, '/root', '/staging').config) as RuntimeSpec;
  assert.deepEqual(config.hooks, {
    prestart: [{ path: '/h', args: ['/h'], env: [], timeout: 60 }],
    poststop: [{ path: '/h', args: ['h', 'x'], env: ['A=1'], timeout: 3 }],
  });
  assert.deepEqual(config.linux.intelRdt, {
    closID: 'gold',
    l3CacheSchema: 'L3:0=f\nL2:0=3',
    memBwSchema: 'MB:0=50',
    enableCMT: true,
    enableMBM: true,
  });
});

test('configForHooks: where the root is, the mounts as the specification has them, and no secret', () => {
  const text = configForHooks(spec, '/data/merged');
  const config = JSON.parse(text) as RuntimeSpec;
  assert.equal(config.root.path, '/data/merged');
  assert.deepEqual(config.mounts, [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/v', type: 'bind', source: '/s', options: ['ro'] },
  ]);
  assert.doesNotMatch(text, /secret|subpath/);
});
