/**
 * Mounts as the runtime makes them, on this kernel: subpaths under attack, mapped owners, shared propagation, image layers. Needs root, busybox-static and a
 * C compiler; everything is mounted in namespaces of containers, but for one tmpfs below the test's own directory.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Mount, RuntimeSpec } from '../../src/oci/runtime-spec.ts';
import type { StdioStream } from '../../src/runtime/runtime.ts';
import { newContainerId, readAll } from '../../src/runtime/runtime-suite.ts';
import { type NativeFixture, openNativeFixture, whyNoNativeRuntime } from './native-fixture.ts';

const skip = whyNoNativeRuntime() ?? false;
const rounds = Number(process.env.GANTRY_SWAP_ROUNDS ?? '120');

suite('mounts of the native runtime', { skip, timeout: 120_000 }, () => {
  let fixture: NativeFixture;
  let directory: string;

  before(async () => {
    fixture = await openNativeFixture();
    directory = fixture.directory;
  });
  after(() => fixture?.dispose());

  interface Changes {
    readonly mounts?: readonly Mount[];
    readonly linux?: Partial<RuntimeSpec['linux']>;
    readonly user?: { readonly uid: number; readonly gid: number };
    readonly sysAdmin?: boolean;
  }

  function specOf(
    id: ReturnType<typeof newContainerId>,
    script: string,
    { mounts = [], linux = {}, user, sysAdmin = false }: Changes,
  ): RuntimeSpec {
    const spec = fixture.spec(id, ['sh', '-c', script]);
    const { seccomp: _, ...unfiltered } = spec.linux;
    const all = [...(spec.process.capabilities?.bounding ?? []), 'CAP_SYS_ADMIN'];
    const capabilities = sysAdmin ? { bounding: all, effective: all, permitted: all } : (spec.process.capabilities ?? {});
    return {
      ...spec,
      process: {
        ...spec.process,
        ...(user === undefined ? {} : { user, capabilities: {} }),
        ...(user === undefined ? { capabilities } : {}),
      },
      mounts: [...spec.mounts, ...mounts],
      linux: { ...(sysAdmin ? unfiltered : spec.linux), ...linux },
    };
  }

  async function sh(script: string, changes: Changes = {}): Promise<string> {
    const id = newContainerId();
    const container = await fixture.runtime.start({
      id,
      spec: specOf(id, script, changes),
      rootfs: fixture.rootfs(),
      log: null,
      stdin: 'null',
      attachments: [{ stdin: false, stdout: true, stderr: true }],
    });
    const read = await readAll(container.attached[0] as StdioStream);
    await container.exited;
    await container.release();
    return read.text(1) + read.text(2);
  }

  function bind(source: string, destination: string, changes: Partial<Mount> = {}): Mount {
    return { destination, type: 'bind', source, options: ['rbind', 'rprivate'], ...changes };
  }

  function made(...names: readonly string[]): string {
    const path = join(directory, ...names);
    mkdirSync(path, { recursive: true });
    return path;
  }

  test('subpath: a directory, a file and a link inside the source; what is not there is named', async () => {
    const source = made('plain');
    writeFileSync(join(made('plain/a/b'), 'file'), 'found\n');
    symlinkSync('/a/b', join(source, 'absolute'));
    symlinkSync('../../../../../../a/b/file', join(source, 'relative'));
    const mounts = [
      bind(source, '/1', { subpath: 'a/b' }),
      bind(source, '/2', { subpath: 'a/b/file' }),
      bind(source, '/3', { subpath: 'absolute' }),
      bind(source, '/4', { subpath: 'relative' }),
    ];
    assert.equal(await sh('cat /1/file /2 /3/file /4', { mounts }), 'found\nfound\nfound\nfound\n');
    await assert.rejects(
      sh('true', { mounts: [bind(source, '/1', { subpath: 'a/none' })] }),
      /cannot find the subpath "a\/none" in .*\/plain: no such file or directory/,
    );
    await assert.rejects(sh('true', { mounts: [bind(source, '/1', { subpath: 'a/b/file/x' })] }), /subpath.*not a directory/);
  });

  test('subpath: a link out of the source ends inside it', async () => {
    const source = made('escape');
    symlinkSync('/etc', join(source, 'out'));
    symlinkSync('/proc/self/root', join(source, 'magic'));
    await assert.rejects(sh('true', { mounts: [bind(source, '/1', { subpath: 'out' })] }), /subpath "out".*no such file/);
    await assert.rejects(sh('true', { mounts: [bind(source, '/1', { subpath: 'magic/etc' })] }), /subpath "magic\/etc".*no such file/);
    await assert.rejects(sh('true', { mounts: [bind(source, '/1', { subpath: '../canary' })] }), /subpath "\.\.\/canary".*no such file/);
  });

  test('SEC-13 subpath: directory and link exchanged all the while never lead outside', async () => {
    const source = made('race');
    writeFileSync(join(made('race/sub/inner'), 'which'), 'inside\n');
    writeFileSync(join(made('race/outside/inner'), 'which'), 'inside\n');
    writeFileSync(join(made('canary/inner'), 'which'), 'OUTSIDE\n');
    symlinkSync(join(directory, 'canary'), join(source, 'link'));
    const swapper = spawn(process.execPath, [join(import.meta.dirname, 'swap-names.ts'), source, 'sub', 'link'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      await new Promise((ready) => swapper.stdout.once('data', ready));
      const seen = { inside: 0, missing: 0 };
      for (let round = 0; round < rounds; round++) {
        // Twenty mounts a container: each is an attempt of its own.
        const mounts = Array.from({ length: 20 }, (_, index) => bind(source, `/m/${index}`, { subpath: 'sub/inner' }));
        try {
          const text = await sh('cat /m/*/which', { mounts });
          assert.equal(text, 'inside\n'.repeat(20));
          seen.inside++;
        } catch (error) {
          assert.match(String(error), /subpath "sub\/inner" in .*: no such file or directory/);
          seen.missing++;
        }
      }
      assert.ok(seen.missing > 0 || rounds < 20, `the names were exchanged: ${JSON.stringify(seen)}`);
    } finally {
      swapper.stdin.end();
    }
  });

  test('SEC-13 destination: a directory of a shared volume exchanged with a link to the host does not lead a mount there', async () => {
    const volume = made('shared-volume');
    made('shared-volume/sub');
    const canary = made('canary-destination');
    symlinkSync(canary, join(volume, 'link'));
    writeFileSync(join(made('inner-source'), 'file'), '');
    const swapper = spawn(process.execPath, [join(import.meta.dirname, 'swap-names.ts'), volume, 'sub', 'link'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      await new Promise((ready) => swapper.stdout.once('data', ready));
      for (let round = 0; round < rounds; round++) {
        const inner = Array.from({ length: 10 }, (_, index) => bind(join(directory, 'inner-source'), `/v/sub/${round}-${index}`));
        // Made in the volume or, by the link, in the container's own root: both are its own. Losing the race while it is made is fine too.
        await sh('true', { mounts: [bind(volume, '/v'), ...inner] }).catch((error) => assert.match(String(error), /cannot bind/));
      }
    } finally {
      swapper.stdin.end();
    }
    assert.deepEqual(readdirSync(canary), []);
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(directory));
  });

  test('owners mapped: files of the host look like those of the container, both ways; the host keeps its own', async () => {
    const source = made('mapped');
    writeFileSync(join(source, 'root-owned'), 'x');
    const swapped = { uidMappings: swap(0, 1234), gidMappings: swap(0, 4321) };
    const script = 'stat -c %u:%g /m /m/root-owned; echo new > /m/new; mkdir /m/dir; stat -c %u:%g /m/new';
    const text = await sh(script, { mounts: [bind(source, '/m', swapped)], user: { uid: 1234, gid: 4321 } });
    assert.equal(text, '1234:4321\n1234:4321\n1234:4321\n');
    assert.deepEqual([lstatSync(join(source, 'new')).uid, lstatSync(join(source, 'new')).gid], [0, 0]);
    assert.equal(readFileSync(join(source, 'new'), 'utf8'), 'new\n');
    assert.equal(
      await sh('touch /m/x', { mounts: [bind(source, '/m')], user: { uid: 1234, gid: 4321 } }),
      'touch: /m/x: Permission denied\n',
    );
  });

  test('owners mapped: with a subpath and read-only, a single file, and only one of users and groups', async () => {
    const file = join(made('mapped-part/sub'), 'file');
    writeFileSync(file, 'text');
    chmodSync(file, 0o640);
    chownSync(file, 0, 5);
    const options = ['rbind', 'ro', 'rprivate'];
    const mounts = [
      bind(join(directory, 'mapped-part'), '/1', { subpath: 'sub', uidMappings: swap(0, 77), options }),
      bind(file, '/2', { gidMappings: [{ containerID: 5, hostID: 99, size: 1 }] }),
    ];
    const text = await sh('stat -c %u:%g /1/file; stat -c %g /2; echo no > /1/file', { mounts });
    assert.equal(text, "77:5\n99\nsh: can't create /1/file: Read-only file system\n");
  });

  test('owners mapped: a file system that cannot is named, and nothing is left', async () => {
    await assert.rejects(
      sh('true', { mounts: [bind('/proc/bus', '/m', { uidMappings: swap(0, 1), options: ['bind', 'rprivate'] })] }),
      /cannot map the owners of \/proc\/bus: its file system \(proc\) has no idmapped mounts/,
    );
    const overlapping = [
      { containerID: 0, hostID: 0, size: 10 },
      { containerID: 5, hostID: 20, size: 10 },
    ];
    await assert.rejects(sh('true', { mounts: [bind(made('mapped'), '/m', { uidMappings: overlapping })] }), /names an id twice/);
  });

  test('shared propagation: mounts made in the container reach the host through that bind, and no others do', async () => {
    const shared = made('shared-root');
    execFileSync('mount', ['-t', 'tmpfs', 'gantry-test', shared]);
    try {
      execFileSync('mount', ['--make-shared', shared]);
      made('shared-root/inside/point');
      const other = made('shared-root/other/point');
      const mounts = [bind(join(shared, 'inside'), '/shared', { options: ['rbind', 'rshared'] }), bind(join(shared, 'other'), '/private')];
      const linux = { rootfsPropagation: 'shared' };
      const script =
        'mkdir -p /own; mount -t tmpfs a /shared/point && echo hello > /shared/point/file; mount -t tmpfs b /private/point && touch /private/point/file; mount -t tmpfs c /own; cat /shared/point/file';
      assert.equal(await sh(script, { mounts, linux, sysAdmin: true }), 'hello\n');
      assert.equal(readFileSync(join(shared, 'inside/point/file'), 'utf8'), 'hello\n', 'it stays when the container has ended');
      assert.deepEqual(readdirSync(other), []);
      assert.equal(
        readFileSync('/proc/self/mountinfo', 'utf8')
          .split('\n')
          .filter((line) => line.includes(directory)).length,
        2,
      );
    } finally {
      execFileSync('umount', ['-R', shared]);
    }
  });

  test('slave propagation: what the host mounts arrives, and nothing goes back', async () => {
    const root = made('slave-root');
    execFileSync('mount', ['-t', 'tmpfs', 'gantry-test', root]);
    try {
      execFileSync('mount', ['--make-shared', root]);
      made('slave-root/point');
      made('slave-root/back');
      const id = newContainerId();
      const mounts = [bind(root, '/m', { options: ['rbind', 'rslave'] })];
      const script = 'mount -t tmpfs x /m/back; touch /m/back/file; echo ready; while ! cat /m/point/file 2>/dev/null; do sleep 0.02; done';
      const container = await fixture.runtime.start({
        id,
        spec: specOf(id, script, { mounts, linux: { rootfsPropagation: 'rslave' }, sysAdmin: true }),
        rootfs: fixture.rootfs(),
        log: null,
        stdin: 'null',
        attachments: [{ stdin: false, stdout: true, stderr: true }],
      });
      execFileSync('sh', ['-c', `sleep 0.2; mount -t tmpfs y ${root}/point && echo arrived > ${root}/point/file`]);
      assert.equal((await readAll(container.attached[0] as StdioStream)).text(1), 'ready\narrived\n');
      await container.exited;
      await container.release();
      assert.equal(existsSync(join(root, 'back/file')), false);
    } finally {
      execFileSync('umount', ['-R', root]);
    }
  });

  test('layers of an image: merged, read-only, without what upper layers removed; a directory or a file of them', async () => {
    writeFileSync(join(made('layers/low/etc'), 'one'), 'low one\n');
    writeFileSync(join(directory, 'layers/low/etc/gone'), 'gone\n');
    writeFileSync(join(made('layers/top/etc'), 'two'), 'top two\n');
    execFileSync('mknod', [join(directory, 'layers/top/etc/gone'), 'c', '0', '0']);
    const image: Mount = {
      destination: '/image',
      type: 'layers',
      source: join(directory, 'layers'),
      layers: ['top', 'low'],
      options: ['index=off', 'redirect_dir=off', 'metacopy=off'],
    };
    const mounts = [image, { ...image, destination: '/part', subpath: 'etc' }, { ...image, destination: '/file', subpath: 'etc/one' }];
    const text = await sh('ls /image/etc /part; cat /file; echo x > /part/one; touch /image/new; cat /image/etc/two', { mounts });
    assert.equal(
      text,
      '/image/etc:\none\ntwo\n\n/part:\none\ntwo\nlow one\ntop two\n' +
        "sh: can't create /part/one: Read-only file system\ntouch: /image/new: Read-only file system\n",
    );
    await assert.rejects(sh('true', { mounts: [{ ...image, subpath: 'none' }] }), /cannot find the subpath "none" in the image/);
    assert.equal(statSync(join(directory, 'layers')).isDirectory(), true);
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(directory));
  });

  test('a joined network namespace: its devices show in /sys, its sysctls are set, and the container has no other', async () => {
    const name = `gantry-f-${process.pid}`;
    execFileSync('ip', ['netns', 'add', name]);
    try {
      execFileSync('ip', ['-n', name, 'link', 'add', 'marker0', 'type', 'veth', 'peer', 'name', 'marker1']);
      const namespaces = (['pid', 'mount', 'ipc', 'uts'] as const).map((type) => ({ type }));
      const linux = {
        namespaces: [...namespaces, { type: 'network' as const, path: `/run/netns/${name}` }],
        sysctl: { 'net.ipv4.ip_unprivileged_port_start': '7' },
      };
      const text = await sh('ls /sys/class/net; cat /proc/sys/net/ipv4/ip_unprivileged_port_start', { linux });
      assert.match(text, /lo\nmarker0\nmarker1\n.*7\n$/s);
      const missing = { namespaces: [...namespaces, { type: 'network' as const, path: '/run/netns/none' }] };
      await assert.rejects(sh('true', { linux: missing }), /cannot enter the network namespace \/run\/netns\/none: ENOENT/);
    } finally {
      execFileSync('ip', ['netns', 'del', name]);
    }
  });
});

function swap(a: number, b: number): NonNullable<Mount['uidMappings']> {
  return [
    { containerID: a, hostID: b, size: 1 },
    { containerID: b, hostID: a, size: 1 },
    { containerID: Math.min(a, b) + 1, hostID: Math.min(a, b) + 1, size: Math.abs(a - b) - 1 },
  ].filter(({ size }) => size > 0);
}
