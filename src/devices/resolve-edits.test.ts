import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { CdiEdits } from './cdi/cdi-spec.ts';
import { resolveEdits } from './resolve-edits.ts';

const file = '/etc/cdi/x.yaml';
let root: string;

before(() => {
  root = mkdtempSync(join(tmpdir(), 'resolve-'));
  mkdirSync(join(root, 'dev'));
  execFileSync('mkfifo', ['-m', '640', join(root, 'dev/pipe')]);
  writeFileSync(join(root, 'file'), '');
});

after(() => rmSync(root, { recursive: true, force: true }));

const resolve = (...parts: readonly CdiEdits[]) =>
  resolveEdits(
    parts.map((edits) => ({ file, kind: 'v/c', edits })),
    { deviceRoot: root },
  );
const node = async (deviceNode: NonNullable<CdiEdits['deviceNodes']>[number]) => (await resolve({ deviceNodes: [deviceNode] })).nodes[0];

describe('resolveEdits', () => {
  it('looks up what a description leaves open', async () => {
    const { mode } = await import('node:fs').then(({ statSync }) => statSync('/dev/null'));
    const open = { uid: null, gid: null, access: 'rwm' };
    const asHost = { ...open, type: 'c', major: 1, minor: 3, fileMode: mode & 0o777 };
    assert.deepEqual(await node({ path: '/dev/null' }), { ...asHost, path: '/dev/null', hostPath: '/dev/null' });
    const given = { path: '/opt/./dev/x', hostPath: '/dev/null', fileMode: 0o100600, uid: 0, gid: 44, permissions: 'wr', type: 'u' };
    assert.deepEqual(await node(given), {
      ...asHost,
      path: '/opt/dev/x',
      hostPath: '/dev/null',
      fileMode: 0o600,
      uid: 0,
      gid: 44,
      access: 'rw',
    });
    assert.equal((await node({ path: '/dev/null', permissions: 'none' }))?.access, '');
    const numbered = { path: '/dev/not-there', type: 'c', major: 195 };
    assert.deepEqual(await node(numbered), { ...open, ...numbered, hostPath: '/dev/not-there', minor: 0, fileMode: 0o666 });
    assert.deepEqual(await node({ path: '/dev/p', hostPath: join(root, 'dev/pipe') }), {
      ...open,
      path: '/dev/p',
      hostPath: join(root, 'dev/pipe'),
      type: 'p',
      major: 0,
      minor: 0,
      fileMode: 0o640,
    });
  });

  it('finds the nodes of what was discovered below the device root', async () => {
    const parts = [
      { file: null, kind: 'nvidia.com/gpu', edits: { deviceNodes: [{ path: '/dev/pipe' }, { path: '/dev/a', hostPath: '/dev/null' }] } },
    ];
    const { nodes } = await resolveEdits(parts, { deviceRoot: root });
    assert.deepEqual(
      nodes.map(({ hostPath }) => hostPath),
      [join(root, 'dev/pipe'), '/dev/null'],
    );
  });

  it('says what is missing, by whom it is named, and what to do', async () => {
    const missing = (edits: CdiEdits, message: string | RegExp) => assert.rejects(resolve(edits), { message });
    await missing(
      { deviceNodes: [{ path: '/dev/nvidia99' }] },
      `the device node /dev/nvidia99 named by ${file} is not there: was its driver unloaded? if the driver was changed, write ${file} anew`,
    );
    await missing({ deviceNodes: [{ path: '/dev' }] }, `/dev named by ${file} is not a device node: correct its path there`);
    await missing(
      { deviceNodes: [{ path: '/dev/null', type: 'b' }] },
      `the device node /dev/null is of type c, and ${file} says b: correct its type there`,
    );
    await missing(
      { mounts: [{ hostPath: '/lib/gone.so', containerPath: '/x' }] },
      `/lib/gone.so, which ${file} mounts, is not there: if the driver was changed, write ${file} anew`,
    );
    const hook = { hookName: 'createContainer', path: '/no/nvidia-cdi-hook', args: ['nvidia-cdi-hook', 'enable-cuda-compat', '--x'] };
    await missing(
      { hooks: [hook] },
      `the hook /no/nvidia-cdi-hook (enable-cuda-compat --x) of ${file} is not there: install the program, or take the hook out of the description`,
    );
    await missing({ hooks: [{ hookName: 'poststop', path: '/etc/passwd' }] }, /^the hook \/etc\/passwd of .* cannot be run: EACCES/);
    const parts = [{ file: null, kind: 'nvidia.com/gpu', edits: { deviceNodes: [{ path: '/dev/nvidia0' }] } }];
    await assert.rejects(resolveEdits(parts, { deviceRoot: root }), {
      message: `the device node ${root}/dev/nvidia0 named by the discovery of nvidia.com/gpu is not there: was its driver unloaded? is its driver being changed? try again`,
    });
  });

  it('merges: later ones replace earlier ones at their place, outer mounts come first', async () => {
    const tmpfs = { hostPath: 'tmpfs', containerPath: '/a/b/c', type: 'tmpfs', options: ['size=1m'] };
    const edits = await resolve(
      {
        env: ['A=1', 'B=2'],
        deviceNodes: [{ path: '/dev/null' }, { path: '/dev/zero' }],
        mounts: [tmpfs, { hostPath: root, containerPath: '/a/b/', options: ['ro'] }, { hostPath: '/dev', containerPath: '/z' }],
        additionalGids: [0, 44, 7],
        intelRdt: { closID: 'a' },
        netDevices: [{ hostInterfaceName: 'eth1', name: 'a' }],
      },
      {
        env: ['A=3'],
        deviceNodes: [{ path: '/dev/null', hostPath: '/dev/full' }],
        mounts: [{ hostPath: join(root, 'file'), containerPath: '/z', options: ['ro', 'bind'] }],
        hooks: [
          { hookName: 'createContainer', path: '/x/nvidia-cdi-hook', args: ['h', 'create-symlinks', '--link', 'a::/b', '--link', 'c::/b'] },
          { hookName: 'createContainer', path: '/x/nvidia-ctk', args: ['h', 'hook', 'update-ldcache', '--folder', '/usr/lib'] },
          { hookName: 'createContainer', path: '/x/nvidia-ctk', args: ['h', 'hook', 'enable-cuda-compat', '--host-driver-version=1.2'] },
          { hookName: 'poststop', path: '/bin/sh', env: ['X=1'], timeout: 3 },
        ],
        additionalGids: [44],
        intelRdt: { closID: 'b' },
        netDevices: [{ hostInterfaceName: 'eth1', name: 'b' }],
      },
    );
    assert.deepEqual(
      edits.nodes.map(({ path, hostPath }) => `${path} ${hostPath}`),
      ['/dev/zero /dev/zero', '/dev/null /dev/full'],
    );
    assert.deepEqual(edits.mounts, [
      { hostPath: join(root, 'file'), containerPath: '/z', kind: 'file', options: ['ro', 'bind'], type: '' },
      { hostPath: root, containerPath: '/a/b', kind: 'directory', options: ['rbind', 'ro'], type: '' },
      { ...tmpfs, kind: 'directory' },
    ]);
    const { nodes: _nodes, mounts: _mounts, ...others } = edits;
    assert.deepEqual(others, {
      env: ['A=1', 'B=2', 'A=3'],
      links: [{ path: '/b', target: 'c' }],
      loaderDirectories: ['/usr/lib'],
      cudaDriver: '1.2',
      procFiles: [],
      hooks: [{ point: 'poststop', path: '/bin/sh', args: ['/bin/sh'], env: ['X=1'], timeoutSeconds: 3 }],
      additionalGids: [44, 7],
      intelRdt: { closID: 'b' },
      netDevices: [{ hostInterfaceName: 'eth1', name: 'b' }],
    });
  });

  it("tells NVIDIA's libraries to make no nodes, where the driver would let them", async () => {
    const parameters = join(root, 'params');
    const procFiles = async (path: string, text: string | null) => {
      rmSync(parameters, { force: true });
      if (text !== null) writeFileSync(parameters, text);
      const deviceNodes = [{ path, hostPath: '/dev/null' }];
      return (await resolveEdits([{ file, kind: 'v/c', edits: { deviceNodes } }], { deviceRoot: '/', driverParameters: parameters }))
        .procFiles;
    };
    const fixed = [{ path: '/proc/driver/nvidia/params', content: 'ModifyDeviceFiles: 0\nDeviceFileUID: 0\nRegistryDwords: ""\n' }];
    assert.deepEqual(await procFiles('/dev/nvidiactl', 'ModifyDeviceFiles: 1\nDeviceFileUID: 0\nRegistryDwords: ""\n'), fixed);
    assert.deepEqual(await procFiles('/dev/nvidiactl', 'DeviceFileUID: 0\nRegistryDwords: ""\n'), fixed);
    assert.deepEqual(await procFiles('/dev/nvidiactl', 'ModifyDeviceFiles: 0\nDeviceFileUID: 0\n'), []);
    assert.deepEqual(await procFiles('/dev/nvidiactl', null), []);
    assert.deepEqual(await procFiles('/dev/camera', 'ModifyDeviceFiles: 1\n'), []);
  });
});
