import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { foldHook } from './fold-hooks.ts';

const fold = (path: string, ...args: readonly string[]) => foldHook({ hookName: 'createContainer', path, args }, '/etc/cdi/nvidia.yaml');

const links = [
  { target: 'libcuda.so.1', path: '/usr/lib/x86_64-linux-gnu/libcuda.so' },
  { target: '../libnvidia-allocator.so.1', path: '/usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so' },
];
const words = ['--link', `${links[0]?.target}::${links[0]?.path}`, `--link=${links[1]?.target}::${links[1]?.path}`];

describe('foldHook', () => {
  it('does the work of the hooks that it knows, in each of their spellings', () => {
    const expected = { links, loaderDirectories: [] };
    assert.deepEqual(fold('/usr/bin/nvidia-cdi-hook', 'nvidia-cdi-hook', 'create-symlinks', ...words), expected);
    assert.deepEqual(fold('/usr/local/nvidia/toolkit/nvidia-ctk', 'nvidia-ctk', 'hook', 'create-symlinks', ...words), expected);
    assert.deepEqual(fold('/usr/bin/nvidia-ctk-hook', 'nvidia-ctk-hook', 'create-symlinks', ...words), expected);
    assert.deepEqual(fold('/opt/gantry/gantry', 'gantry', 'device', 'hook', 'create-symlinks', ...words), expected);
    const folders = ['--ldconfig-path', '@/sbin/ldconfig', '--folder', '/usr/lib64', '--folder=/usr/lib64/vdpau/'];
    const directories = { links: [], loaderDirectories: ['/usr/lib64', '/usr/lib64/vdpau'] };
    assert.deepEqual(fold('/usr/bin/nvidia-cdi-hook', 'nvidia-cdi-hook', 'update-ldcache', ...folders), directories);
    assert.deepEqual(fold('/usr/bin/nvidia-cdi-hook', 'nvidia-cdi-hook', 'update-ldcache'), { links: [], loaderDirectories: [] });
    assert.deepEqual(fold('/usr/bin/nvidia-cdi-hook', 'nvidia-cdi-hook', 'create-soname-symlinks', '--folder=/usr/lib64'), {
      links: [],
      loaderDirectories: ['/usr/lib64'],
    });
  });

  it('knows which driver the libraries of an image are compared with, and what needs no hook', () => {
    const words = ['nvidia-cdi-hook', 'enable-cuda-compat', '--host-driver-version=550.54.14', '--host-cuda-version', '12.4'];
    const nothing = { links: [], loaderDirectories: [] };
    assert.deepEqual(fold('/usr/bin/nvidia-cdi-hook', ...words), { ...nothing, cudaDriver: '550.54.14' });
    assert.deepEqual(fold('/usr/bin/nvidia-ctk', 'nvidia-ctk', 'hook', 'disable-device-node-modification'), nothing);
  });

  it('leaves everything else to be run', () => {
    const path = '/usr/bin/nvidia-cdi-hook';
    const others: readonly (readonly string[])[] = [
      ['chmod', '--mode', '755', '--path', '/dev/dri'],
      ['enable-cuda-compat'],
      ['enable-cuda-compat', '--host-cuda-version=12.4'],
      ['enable-cuda-compat', '--host-driver-version=540.3.0', '--cuda-compat-container-root=/usr/local/cuda/compat-orin'],
      ['disable-device-node-modification', '--strange'],
      ['create-symlinks', '--strange', 'x'],
      ['create-symlinks', '--link'],
      ['create-symlinks', '--link', 'a'],
      ['create-symlinks', '--link', 'a::b::c'],
      ['create-symlinks', '--link', '::b'],
      ['create-symlinks', '--link', 'a::b,c::d'],
      ['update-ldcache', '/usr/lib'],
      [],
    ];
    for (const args of others) assert.equal(fold(path, 'nvidia-cdi-hook', ...args), null, args.join(' '));
    assert.equal(fold('/usr/bin/other-hook', 'nvidia-cdi-hook', 'update-ldcache'), null);
    assert.equal(fold('/usr/bin/nvidia-ctk', 'nvidia-ctk', 'update-ldcache'), null);
    assert.equal(fold('/usr/bin/gantry', 'gantry', 'hook', 'update-ldcache'), null);
    assert.equal(foldHook({ hookName: 'createContainer', path }, 'x'), null);
    assert.equal(foldHook({ hookName: 'prestart', path, args: ['nvidia-cdi-hook', 'update-ldcache'] }, 'x'), null);
  });

  it('keeps what it makes below the root', () => {
    const message = '/etc/cdi/nvidia.yaml: the hook that makes "/usr/../../etc/x" in the container must not climb with ".."';
    assert.throws(() => fold('/bin/nvidia-cdi-hook', 'h', 'create-symlinks', '--link', 'a::/usr/../../etc/x'), { message });
    assert.throws(() => fold('/bin/nvidia-cdi-hook', 'h', 'update-ldcache', '--folder', '..'), /must not climb/);
    assert.deepEqual(fold('/bin/nvidia-cdi-hook', 'h', 'create-symlinks', '--link', '/a::usr//x')?.links, [
      { target: '/a', path: '/usr/x' },
    ]);
  });
});
