/** What NVIDIA's packages install for the user's programs. */
import { readFileSync } from 'node:fs';
import { encodeLoaderCache } from '../../../src/devices/loader-cache/encode-loader-cache.ts';
import { type LibraryMachine, libraryFlags } from '../../../src/devices/loader-cache/loader-cache.ts';
import { type ElfMachine, type TinyFunction, tinyLibrary, tinyProgram } from '../tiny-elf.ts';
import type { FakeDriver, FakeDriverOptions } from './options.ts';
import type { FakeTree } from './tree.ts';

/** Name without version → SONAME; null: the file's own name with its version. */
const computeLibraries: Readonly<Record<string, string | null>> = {
  'libcuda.so': 'libcuda.so.1',
  'libcudadebugger.so': 'libcudadebugger.so.1',
  'libnvidia-ml.so': 'libnvidia-ml.so.1',
  'libnvidia-cfg.so': 'libnvidia-cfg.so.1',
  'libnvidia-ptxjitcompiler.so': 'libnvidia-ptxjitcompiler.so.1',
  'libnvidia-nvvm.so': 'libnvidia-nvvm.so.4',
  'libnvidia-opencl.so': 'libnvidia-opencl.so.1',
  'libnvidia-gpucomp.so': null,
  'libnvidia-allocator.so': 'libnvidia-allocator.so.1',
  'libnvidia-pkcs11-openssl3.so': null,
  'libnvcuvid.so': 'libnvcuvid.so.1',
  'libnvidia-encode.so': 'libnvidia-encode.so.1',
  'libnvidia-opticalflow.so': 'libnvidia-opticalflow.so.1',
};

const graphicsLibraries: Readonly<Record<string, string | null>> = {
  'libGLX_nvidia.so': 'libGLX_nvidia.so.0',
  'libEGL_nvidia.so': 'libEGL_nvidia.so.0',
  'libGLESv1_CM_nvidia.so': 'libGLESv1_CM_nvidia.so.1',
  'libGLESv2_nvidia.so': 'libGLESv2_nvidia.so.2',
  'libnvidia-glcore.so': null,
  'libnvidia-eglcore.so': null,
  'libnvidia-glsi.so': null,
  'libnvidia-glvkspirv.so': null,
  'libnvidia-rtcore.so': null,
  'libnvidia-tls.so': null,
  'libnvidia-fbc.so': 'libnvidia-fbc.so.1',
  'libnvidia-ngx.so': 'libnvidia-ngx.so.1',
  'libnvoptix.so': 'libnvoptix.so.1',
};

/** Of other packages, with versions of their own. */
const eglLibraries = ['libnvidia-egl-gbm.so.1.1.2', 'libnvidia-egl-wayland.so.1.1.19'];

/** 32-bit programs get these only. */
const for32Bit =
  /^lib(cuda|nvidia-(ml|ptxjitcompiler|nvvm|opencl|gpucomp|allocator|encode|opticalflow|glcore|eglcore|glsi|glvkspirv|tls|fbc)|nvcuvid|GLX_nvidia|EGL_nvidia|GLESv1_CM_nvidia|GLESv2_nvidia)\.so$/;

const programs = [
  'nvidia-smi',
  'nvidia-debugdump',
  'nvidia-persistenced',
  'nvidia-cuda-mps-control',
  'nvidia-cuda-mps-server',
  'nvidia-modprobe',
];

type Files = Pick<FakeDriver, 'libraries' | 'programs'>;
type Library = Files['libraries'][number];

export function installLibraries(tree: FakeTree, version: string, options: FakeDriverOptions): Files {
  const lacks = (piece: string): boolean => (options.without ?? []).some((each) => each === piece);
  const graphics = !lacks('graphics');
  const native = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const sets = { ...computeLibraries, ...(graphics ? graphicsLibraries : {}) };
  const wide = Object.entries(sets).map(([name, soname]) => library(tree, native, name, version, soname, options));
  const narrow = native === 'x86_64' && options.with32Bit !== false ? Object.entries(sets).filter(([name]) => for32Bit.test(name)) : [];
  const libraries = [
    ...wide,
    ...narrow.map(([name, soname]) => library(tree, 'i386', name, version, soname, { ...options, nvmlLibrary: undefined })),
  ];
  if (graphics) libraries.push(...installGraphics(tree, native, version));
  if (!lacks('programs'))
    for (const name of programs) tree.write(`usr/bin/${name}`, tinyProgram(native, `${name}: the fake driver ${version}\n`), 0o755);
  if (!lacks('firmware'))
    for (const name of ['gsp_ga10x.bin', 'gsp_tu10x.bin']) tree.write(`lib/firmware/nvidia/${version}/${name}`, 'firmware');
  if (!lacks('sockets')) installSockets(tree, options);
  if (!lacks('loader-cache')) tree.write('etc/ld.so.cache', loaderCache(libraries, native));
  return { libraries, programs: lacks('programs') ? [] : programs.map((name) => `/usr/bin/${name}`) };
}

const folders: Readonly<Record<ElfMachine, string>> = {
  x86_64: '/usr/lib/x86_64-linux-gnu',
  i386: '/usr/lib/i386-linux-gnu',
  aarch64: '/usr/lib/aarch64-linux-gnu',
};

type InstallOptions = Omit<FakeDriverOptions, 'nvmlLibrary'> & { readonly nvmlLibrary?: string | undefined };

function library(
  tree: FakeTree,
  machine: ElfMachine,
  name: string,
  version: string,
  named: string | null,
  options: InstallOptions,
): Library {
  const file = `${name}.${version}`;
  const path = `${folders[machine]}/${file}`;
  const soname = named ?? file;
  const functions: TinyFunction[] = name === 'libcuda.so' ? cudaFunctions(options.cudaVersion ?? 12040) : [];
  const given = name === 'libnvidia-ml.so' ? options.nvmlLibrary : undefined;
  tree.write(path, given === undefined ? tinyLibrary(machine, soname, functions) : readFileSync(given));
  if (soname !== file) tree.link(`${folders[machine]}/${soname}`, file);
  if (name === 'libcuda.so') tree.link(`${folders[machine]}/${name}`, soname);
  return { path, soname };
}

const cudaFunctions = (version: number): TinyFunction[] => [
  { name: 'cuDriverGetVersion', number: version, through: 'argument' },
  { name: 'cuInit', number: 0, through: 'result' },
  { name: 'cuDeviceGetCount', number: 1, through: 'argument' },
];

function installGraphics(tree: FakeTree, machine: ElfMachine, version: string): Library[] {
  const folder = folders[machine];
  const more = eglLibraries.map((file) => {
    const soname = file.replace(/(\.so\.\d+).*/, '$1');
    tree.write(`${folder}/${file}`, tinyLibrary(machine, soname));
    tree.link(`${folder}/${soname}`, file);
    return { path: `${folder}/${file}`, soname };
  });
  tree.write(`${folder}/vdpau/libvdpau_nvidia.so.${version}`, tinyLibrary(machine, 'libvdpau_nvidia.so.1'));
  tree.link(`${folder}/vdpau/libvdpau_nvidia.so.1`, `libvdpau_nvidia.so.${version}`);
  tree.link(`${folder}/gbm/nvidia-drm_gbm.so`, '../libnvidia-allocator.so.1');
  tree.write(`${folder}/nvidia/xorg/libglxserver_nvidia.so.${version}`, tinyLibrary(machine, 'libglxserver_nvidia.so'));
  tree.write('usr/lib/xorg/modules/drivers/nvidia_drv.so', tinyLibrary(machine, null));
  const vendor = { file_format_version: '1.0.0', ICD: { library_path: 'libEGL_nvidia.so.0' } };
  const json: Record<string, unknown> = {
    'usr/share/glvnd/egl_vendor.d/10_nvidia.json': vendor,
    'usr/share/egl/egl_external_platform.d/10_nvidia_wayland.json': { ICD: { library_path: 'libnvidia-egl-wayland.so.1' } },
    'usr/share/egl/egl_external_platform.d/15_nvidia_gbm.json': { ICD: { library_path: 'libnvidia-egl-gbm.so.1' } },
    'etc/vulkan/icd.d/nvidia_icd.json': {
      file_format_version: '1.0.1',
      ICD: { library_path: 'libGLX_nvidia.so.0', api_version: '1.4.312' },
    },
    'etc/vulkan/implicit_layer.d/nvidia_layers.json': { file_format_version: '1.0.0', layers: [] },
  };
  for (const [path, value] of Object.entries(json)) tree.write(path, `${JSON.stringify(value, null, 2)}\n`);
  tree.write('usr/share/nvidia/nvoptix.bin', 'optix');
  tree.write('usr/share/X11/xorg.conf.d/nvidia-drm-outputclass.conf', 'Section "OutputClass"\nEndSection\n');
  return [...more, { path: `${folder}/vdpau/libvdpau_nvidia.so.${version}`, soname: 'libvdpau_nvidia.so.1' }];
}

function installSockets(tree: FakeTree, options: FakeDriverOptions): void {
  tree.socket('run/nvidia-persistenced/socket');
  if (options.fabric === true) tree.socket('run/nvidia-fabricmanager/socket');
  tree.link('var/run', '../run');
}

/** As ldconfig would write it: by SONAME, the links' paths; folders below a library folder are not among them. */
function loaderCache(libraries: readonly Library[], native: LibraryMachine): Buffer {
  const entries = libraries
    .filter(({ path, soname }) => soname !== null && /\/lib\/[^/]+\/[^/]+$/.test(path))
    .map(({ path, soname }) => ({
      soname: soname ?? '',
      path: path.replace(/[^/]+$/, soname ?? ''),
      flags: libraryFlags[path.startsWith(folders.i386) ? 'i386' : native],
      hwcaps: null,
      legacyHwcap: 0n,
      osVersion: 0,
    }));
  return encodeLoaderCache(entries);
}
