/** What each library of NVIDIA's driver is for, in the words of NVIDIA_DRIVER_CAPABILITIES. */

export type Capability = 'compute' | 'compat32' | 'graphics' | 'utility' | 'video' | 'display' | 'ngx';

export const allCapabilities: ReadonlySet<string> = new Set<Capability>(['compute', 'graphics', 'utility', 'video', 'display', 'ngx']);

/** Name up to `.so`; those that several need are named for each. */
const byCapability: Readonly<Record<Exclude<Capability, 'compat32'>, readonly string[]>> = {
  utility: ['libnvidia-ml', 'libnvidia-cfg', 'libnvidia-nscq'],
  compute: [
    'libcuda',
    'libcudadebugger',
    'libnvidia-allocator',
    'libnvidia-compiler',
    'libnvidia-fatbinaryloader',
    'libnvidia-gpucomp',
    'libnvidia-nvvm',
    'libnvidia-nvvm70',
    'libnvidia-opencl',
    'libnvidia-pkcs11',
    'libnvidia-pkcs11-openssl3',
    'libnvidia-ptxjitcompiler',
    'libnvidia-sandboxutils',
    'libnvidia-tileiras',
  ],
  video: ['libnvcuvid', 'libnvidia-encode', 'libnvidia-opticalflow', 'libvdpau_nvidia'],
  graphics: [
    'libEGL_nvidia',
    'libGLESv1_CM_nvidia',
    'libGLESv2_nvidia',
    'libGLX_nvidia',
    'libnvidia-allocator',
    'libnvidia-api',
    'libnvidia-cbl',
    'libnvidia-egl-gbm',
    'libnvidia-egl-wayland',
    'libnvidia-egl-wayland2',
    'libnvidia-egl-xcb',
    'libnvidia-egl-xlib',
    'libnvidia-eglcore',
    'libnvidia-fbc',
    'libnvidia-glcore',
    'libnvidia-glsi',
    'libnvidia-glvkspirv',
    'libnvidia-gpucomp',
    'libnvidia-ifr',
    'libnvidia-present',
    'libnvidia-rtcore',
    'libnvidia-tls',
    'libnvidia-vksc-core',
    'libnvidia-vulkan-producer',
    'libnvoptix',
  ],
  display: ['libglxserver_nvidia', 'libnvidia-wayland-client', 'libnvidia-gtk2', 'libnvidia-gtk3'],
  ngx: ['libnvidia-ngx'],
};

/** These come with versions of their own; all others end with the driver's. */
const ownVersions = /^(libnvidia-egl-(gbm|wayland2?|xcb|xlib)|libnvidia-nvvm70|libnvidia-api|libnvidia-nscq)\.so\.\d[\d.]*$/;

/** Ends with the version, or has one of its own and comes with the driver all the same. */
export function isDriverLibrary(file: string, version: string): boolean {
  return (file.startsWith('lib') && file.endsWith(`.so.${version}`)) || ownVersions.test(file);
}

/** One that is not in the list is new with a newer driver: it is for everything, so that what needs it works. */
export function isWanted(file: string, capabilities: ReadonlySet<string>): boolean {
  const name = file.replace(/\.so\..*/, '');
  const needs = Object.entries(byCapability).filter(([, names]) => names.includes(name));
  return needs.length === 0 || needs.some(([capability]) => capabilities.has(capability));
}
