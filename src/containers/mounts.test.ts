import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../base/errors.ts';
import type { MountRequest } from './config.ts';
import { requestedMounts } from './mounts.ts';

const none = { Binds: null };
const bind = (text: string) => requestedMounts({ Binds: [text] })[0];
const refusesBind = (text: string, message: string): void => assert.throws(() => bind(text), { message });
const mount = (request: MountRequest) => requestedMounts({ ...none, Mounts: [request] })[0];

test('requestedMounts: -v with a host path', () => {
  assert.deepEqual(bind('/a/./b/:/c//d:ro'), {
    kind: 'bind',
    source: '/a/b',
    destination: '/c/d',
    readOnly: true,
    recursiveReadOnly: true,
    recursive: true,
    propagation: 'rprivate',
    mode: 'ro',
    createSource: true,
  });
  const slave = bind('/a:/b:z,rslave,cached');
  assert.ok(slave?.kind === 'bind' && slave.propagation === 'rslave' && !slave.readOnly);
});

test('requestedMounts: -v that is none', () => {
  refusesBind('/a:/b:/c:/d', "invalid volume specification: '/a:/b:/c:/d'");
  refusesBind(':/b', "invalid volume specification: ':/b'");
  refusesBind('/a:', "invalid volume specification: '/a:'");
  refusesBind('/a:ro', "invalid volume specification: '/a:ro'");
  refusesBind('/a:/b:rx', 'invalid mode: rx');
  refusesBind('/a:/b:ro,rw', 'invalid mode: ro,rw');
  const config = 'invalid mount config for type "bind":';
  refusesBind('/a:/', `invalid volume specification: '/a:/': ${config} invalid specification: destination can't be '/'`);
  refusesBind('/a:/b/..', `invalid volume specification: '/a:/b/..': ${config} invalid specification: destination can't be '/'`);
  refusesBind(
    'v:b',
    `invalid volume specification: 'v:b': invalid mount config for type "volume": invalid mount path: 'b' mount path must be absolute`,
  );
  refusesBind('/a:b', `invalid volume specification: '/a:b': ${config} invalid mount path: 'b' mount path must be absolute`);
});

test('requestedMounts: named volumes and shared propagation are refused by name', () => {
  const isMissing = (error: unknown): boolean => error instanceof EngineError && error.code === 'not-implemented';
  assert.throws(() => bind('data:/data'), isMissing);
  assert.throws(() => bind('/a:/b:rshared'), isMissing);
  for (const Type of ['volume', 'image', 'npipe', 'cluster'] as const) assert.throws(() => mount({ Type, Target: '/x' }), isMissing);
});

test('requestedMounts: --mount type=bind', () => {
  const request: MountRequest = {
    Type: 'bind',
    Source: '/a',
    Target: '/b',
    ReadOnly: true,
    BindOptions: { NonRecursive: true, ReadOnlyNonRecursive: true },
  };
  const made = mount(request);
  assert.ok(made?.kind === 'bind' && made.readOnly && !made.recursive && !made.recursiveReadOnly && !made.createSource);
  const refuses = (changes: Partial<MountRequest>, problem: string): void => {
    assert.throws(() => mount({ ...request, ...changes }), { message: `invalid mount config for type "bind": ${problem}` });
  };
  refuses({ Target: '' }, 'field Target must not be empty');
  refuses({ Source: '' }, 'field Source must not be empty');
  refuses({ Source: 'a' }, "invalid mount path: 'a' mount path must be absolute");
  refuses({ TmpfsOptions: {} }, 'field TmpfsOptions must not be specified');
  refuses({ BindOptions: { Propagation: 'some' } }, 'invalid propagation mode: some');
});

test('requestedMounts: tmpfs in both forms', () => {
  const [first, second] = requestedMounts({
    ...none,
    Mounts: [{ Type: 'tmpfs', Target: '/m', ReadOnly: true, TmpfsOptions: { SizeBytes: 4 * 2 ** 20, Mode: 0o1770 } }],
    Tmpfs: { '/t': 'exec,size=1m,size=2m' },
  });
  assert.ok(first?.kind === 'tmpfs' && second?.kind === 'tmpfs');
  assert.deepEqual([first.options, first.listed], [['noexec', 'nosuid', 'nodev', 'rprivate', 'ro', 'mode=1770', 'size=4m'], true]);
  assert.deepEqual([second.options, second.listed], [['nosuid', 'nodev', 'rprivate', 'exec', 'size=2m'], false]);
  assert.throws(() => requestedMounts({ ...none, Tmpfs: { '/t': 'sice=1m' } }), { message: 'invalid tmpfs option ["sice" "1m"]' });
});

test('requestedMounts: one mount point once', () => {
  const message = 'Duplicate mount point: /b';
  assert.throws(() => requestedMounts({ Binds: ['/a:/b', '/c:/b/'] }), { message });
  assert.throws(() => requestedMounts({ Binds: ['/a:/b'], Tmpfs: { '/b': '' } }), { message });
});

test('requestedMounts: any -v text is a mount at an absolute clean path, or refused', () => {
  const text = fc.string({ unit: fc.constantFrom('/', '.', ':', 'a', 'ro', 'z', ',', '\0') });
  fc.assert(
    fc.property(text, (raw) => {
      try {
        const made = bind(raw);
        assert.ok(made?.kind === 'bind');
        return (
          [made.source, made.destination].every((path) => path.startsWith('/') && !path.split('/').includes('..')) &&
          made.destination !== '/'
        );
      } catch (error) {
        return error instanceof EngineError && ['invalid', 'not-implemented'].includes(error.code);
      }
    }),
  );
});
