import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../base/errors.ts';
import type { MountRequest } from './config.ts';
import { anonymousVolume, requestedMounts } from './mounts.ts';

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

test('requestedMounts: -v with a volume', () => {
  const named = requestedMounts({ Binds: ['data:/a/../d/:ro,nocopy,z'], VolumeDriver: 'nfs' })[0];
  assert.deepEqual(named, {
    kind: 'volume',
    name: 'data',
    driver: 'nfs',
    driverOptions: {},
    labels: {},
    destination: '/d',
    readOnly: true,
    copy: false,
    subpath: '',
    mode: 'ro,nocopy,z',
  });
  const anonymous = bind('/data');
  assert.ok(anonymous?.kind === 'volume' && anonymous.name === null && anonymous.copy && anonymous.driver === '');
  const problem = (raw: string, type: string, text: string) =>
    refusesBind(raw, `invalid volume specification: '${raw}': invalid mount config for type "${type}": ${text}`);
  problem('v:/d:rslave', 'volume', 'field BindOptions must not be specified');
  problem('/a:/d:nocopy', 'bind', 'field VolumeOptions must not be specified');
});

test('requestedMounts: shared binds, and types that Linux has not', () => {
  const shared = bind('/a:/b:rshared');
  assert.ok(shared?.kind === 'bind' && shared.propagation === 'rshared');
  for (const Type of ['npipe', 'cluster'] as const) {
    assert.throws(() => mount({ Type, Target: '/x' }), { code: 'not-implemented' });
  }
});

test('requestedMounts: --mount type=volume', () => {
  const request: MountRequest = {
    Type: 'volume',
    Source: 'data',
    Target: '/d/',
    ReadOnly: true,
    VolumeOptions: {
      NoCopy: true,
      Subpath: 'a/../b',
      Labels: { a: 'b' },
      DriverConfig: { Name: 'local', Options: { type: 'tmpfs' } },
      Idmap: 'owner=1000:1000',
    },
  };
  assert.deepEqual(mount(request), {
    kind: 'volume',
    name: 'data',
    driver: 'local',
    driverOptions: { type: 'tmpfs' },
    labels: { a: 'b' },
    destination: '/d',
    readOnly: true,
    copy: false,
    subpath: 'a/../b',
    mode: '',
    idmap: 'owner=1000:1000',
  });
  const refuses = (changes: Partial<MountRequest>, problem: string): void => {
    assert.throws(() => mount({ ...request, ...changes }), {
      code: 'invalid',
      message: `invalid mount config for type "volume": ${problem}`,
    });
  };
  refuses({ BindOptions: {} }, 'field BindOptions must not be specified');
  refuses({ ImageOptions: {} }, 'field ImageOptions must not be specified');
  refuses({ Source: '', VolumeOptions: {} }, 'must not set ReadOnly mode when using anonymous volumes');
  refuses({ Source: '', ReadOnly: false }, 'must not set Subpath when using anonymous volumes');
  for (const Subpath of ['/etc', '..', 'a/../../b', 'a\0b']) {
    refuses({ VolumeOptions: { Subpath } }, 'subpath must be a relative path within the volume');
  }
  assert.throws(() => mount({ ...request, VolumeOptions: { Idmap: 'all=mine' } }), /invalid idmap "all=mine"/);
});

test('requestedMounts: --mount type=image', () => {
  const request: MountRequest = { Type: 'image', Source: 'busybox', Target: '/i', ImageOptions: { Subpath: 'etc' } };
  assert.deepEqual(mount(request), { kind: 'image', image: 'busybox', destination: '/i', subpath: 'etc' });
  const config = 'invalid mount config for type "image":';
  assert.throws(() => mount({ ...request, Source: '' }), { message: `${config} field Source must not be empty` });
  assert.throws(() => mount({ ...request, VolumeOptions: {} }), { message: `${config} field VolumeOptions must not be specified` });
  assert.throws(() => mount({ ...request, ImageOptions: { Subpath: '../x' } }), {
    message: `${config} subpath must be a relative path within the image`,
  });
});

test('anonymousVolume: paths of image VOLUMEs stay inside the root', () => {
  assert.equal(anonymousVolume('data', '').destination, '/data');
  assert.equal(anonymousVolume('/../../etc/x/', 'd').destination, '/etc/x');
  assert.throws(() => anonymousVolume('/a/..', ''), /destination can't be '\/'/);
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
        assert.ok(made?.kind === 'bind' || made?.kind === 'volume');
        const paths = [made.destination, ...(made.kind === 'bind' ? [made.source] : [])];
        return paths.every((path) => path.startsWith('/') && !path.split('/').includes('..')) && made.destination !== '/';
      } catch (error) {
        return error instanceof EngineError && ['invalid', 'not-implemented'].includes(error.code);
      }
    }),
  );
});
