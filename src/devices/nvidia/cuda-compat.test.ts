import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compatDirectory, hasNewerCuda, type ImageFiles, newerCudaLibraries } from './cuda-compat.ts';

/** Files and links of the folder, with the names of what they lead to. */
function image(files: Readonly<Record<string, string | null>>): ImageFiles {
  return {
    file: (path) => files[path.slice(compatDirectory.length + 1)] ?? null,
    names: (path, most) => (path === compatDirectory ? Object.keys(files).slice(0, most) : []),
  };
}

const cuda128 = image({
  'libcuda.so': 'libcuda.so.570.124.06',
  'libcuda.so.1': 'libcuda.so.570.124.06',
  'libcuda.so.570.124.06': 'libcuda.so.570.124.06',
  'libnvidia-nvvm.so.4': 'libnvidia-nvvm.so.570.124.06',
  'libbroken.so.1': null,
  README: 'README',
  'lib\n.so.1': 'x',
});

test('newerCudaLibraries: the libraries of an image that are newer than the driver', () => {
  const found = newerCudaLibraries(cuda128, '550.54.14', 'x86_64');
  assert.deepEqual(
    found.map(({ soname, path }) => `${soname} ${path}`),
    ['libcuda.so', 'libcuda.so.1', 'libcuda.so.570.124.06', 'libnvidia-nvvm.so.4'].map((name) => `${name} ${compatDirectory}/${name}`),
  );
  assert.ok(found.every(({ machine }) => machine === 'x86_64'));
  for (const driver of ['570.86.10', '580.159.04', '1000.1', '', 'new'])
    assert.deepEqual(newerCudaLibraries(cuda128, driver, 'x86_64'), [], driver);
});

test('hasNewerCuda: only of a libcuda.so.1 that leads to a version', () => {
  assert.equal(hasNewerCuda(cuda128, '99.1'), true);
  for (const leads of [null, 'libcuda.so.1', 'libcuda.so.stub', 'libcuda.so.99999999.1', 'libcuda.so.570', 'xlibcuda.so.570.1'])
    assert.equal(hasNewerCuda(image({ 'libcuda.so.1': leads, 'libcuda.so.570.1': 'x' }), '550.1'), false, String(leads));
});
