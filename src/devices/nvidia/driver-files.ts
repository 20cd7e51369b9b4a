/** What of the driver containers get beside libraries: programs, firmware, sockets of its daemons, and the files by which graphics libraries find it. */
import { release } from 'node:os';
import type { HostTree } from '../host-tree.ts';
import type { Capability } from './library-kinds.ts';

export interface DriverFile {
  /** For which capability. */
  readonly use: Capability;
  readonly hostPath: string;
  readonly containerPath: string;
}

const programs: readonly (readonly [name: string, use: Capability])[] = [
  ['nvidia-smi', 'utility'],
  ['nvidia-debugdump', 'utility'],
  ['nvidia-persistenced', 'utility'],
  ['nvidia-cuda-mps-control', 'compute'],
  ['nvidia-cuda-mps-server', 'compute'],
  ['nvidia-imex', 'compute'],
  ['nvidia-imex-ctl', 'compute'],
];

/** In every search path; programs that lie elsewhere are put into the first. */
const searchedFolders = ['/usr/bin', '/usr/sbin', '/bin', '/sbin', '/usr/local/bin', '/usr/local/sbin'];
export const programFolders = [...searchedFolders, '/usr/local/nvidia/bin', '/opt/nvidia/bin', '/opt/bin', '/run/current-system/sw/bin'];

/** Below the folders of settings, in the container where they are found. */
const graphicsSettings = [
  'glvnd/egl_vendor.d/10_nvidia.json',
  'egl/egl_external_platform.d/09_nvidia_wayland2.json',
  'egl/egl_external_platform.d/10_nvidia_wayland.json',
  'egl/egl_external_platform.d/15_nvidia_gbm.json',
  'egl/egl_external_platform.d/20_nvidia_xcb.json',
  'egl/egl_external_platform.d/20_nvidia_xlib.json',
  'nvidia/nvoptix.bin',
];
const displaySettings = ['X11/xorg.conf.d/10-nvidia.conf', 'X11/xorg.conf.d/nvidia-drm-outputclass.conf'];
/** Vulkan looks for these in /etc first, wherever the host has them. */
const vulkanSettings = [
  'vulkan/icd.d/nvidia_icd.json',
  `vulkan/icd.d/nvidia_icd.${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.json`,
  'vulkan/icd.d/nvidia_layers.json',
  'vulkan/implicit_layer.d/nvidia_layers.json',
];
const settingsFolders = ['/etc', '/usr/share', '/usr/local/share', '/run/opengl-driver/share'];

const xorgDrivers = ['/usr/lib/xorg/modules/drivers/nvidia_drv.so', '/usr/lib64/xorg/modules/drivers/nvidia_drv.so'];

/** Of `trees` the first that has a socket serves it: daemons run on the host, or in the driver's container. */
export async function findSockets(trees: readonly HostTree[]): Promise<readonly DriverFile[]> {
  const wanted: readonly (readonly [path: string, use: Capability])[] = [
    ['/run/nvidia-persistenced/socket', 'utility'],
    ['/run/nvidia-fabricmanager/socket', 'compute'],
    ['/tmp/nvidia-mps', 'compute'],
  ];
  const found = wanted.map(async ([path, use]) => {
    const files = await Promise.all(trees.map(async (tree) => await fileAt(tree, path, path, use)));
    return files.find((file) => file !== null) ?? null;
  });
  return (await Promise.all(found)).filter((file) => file !== null);
}

export async function findFiles(driver: HostTree, version: string): Promise<readonly DriverFile[]> {
  const lists = [
    ...programs.map(([name, use]) => program(driver, name, use)),
    ...graphicsSettings.map((name) => settings(driver, name, 'graphics', null)),
    ...displaySettings.map((name) => settings(driver, name, 'display', null)),
    ...vulkanSettings.map((name) => settings(driver, name, 'graphics', `/etc/${name}`)),
    firstOf(xorgDrivers.map((path) => fileAt(driver, path, path, 'display'))),
  ];
  return [...(await Promise.all(lists)).filter((file) => file !== null), ...(await firmware(driver, version))];
}

async function program(driver: HostTree, name: string, use: Capability): Promise<DriverFile | null> {
  const found = programFolders.map((folder) => {
    const containerFolder = searchedFolders.includes(folder) ? folder : '/usr/bin';
    return fileAt(driver, `${folder}/${name}`, `${containerFolder}/${name}`, use);
  });
  return await firstOf(found);
}

async function settings(driver: HostTree, name: string, use: Capability, containerPath: string | null): Promise<DriverFile | null> {
  return await firstOf(
    settingsFolders.map((folder) => fileAt(driver, `${folder}/${name}`, containerPath ?? containerSettings(folder, name), use)),
  );
}

const containerSettings = (folder: string, name: string): string => (folder === '/etc' ? `/etc/${name}` : `/usr/share/${name}`);

async function firmware(driver: HostTree, version: string): Promise<readonly DriverFile[]> {
  const roots = [
    '/lib/firmware/updates',
    `/lib/firmware/${release()}`,
    '/lib/firmware',
    '/usr/lib/firmware',
    '/run/current-system/firmware',
  ];
  for (const root of roots) {
    const folder = `${root}/nvidia/${version}`;
    const names = (await driver.names(folder)).filter((name) => /^gsp.*\.bin/.test(name));
    const files = await Promise.all(
      names.map(async (name) => await fileAt(driver, `${folder}/${name}`, `/lib/firmware/nvidia/${version}/${name}`, 'compute')),
    );
    if (files.length > 0) return files.filter((file) => file !== null);
  }
  return [];
}

async function fileAt(tree: HostTree, path: string, containerPath: string, use: Capability): Promise<DriverFile | null> {
  const real = await tree.resolve(path);
  return real === null ? null : { use, hostPath: tree.hostPath(real), containerPath };
}

async function firstOf(files: readonly Promise<DriverFile | null>[]): Promise<DriverFile | null> {
  return (await Promise.all(files)).find((file) => file !== null) ?? null;
}
