/**
 * The devices of one run of a container, from its start to its end:
 *
 *   grantDevices ──▶ record stored, layer below what it writes ──▶ the process runs ──▶ end: free for others, layer removed
 *        └ refused: the start fails                                        └ next daemon: adoptDevices, by the record
 *
 * Stored before the process is there: whoever finds it running after a crash knows what it has. Between two runs, also while a restart policy waits, it holds nothing.
 */
import { mkdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { errorText } from '../base/errors.ts';
import { type DeviceEdits, noEdits } from '../devices/device-edits.ts';
import { type DeviceGrant, type DeviceHolder, noGrant } from '../devices/devices.ts';
import { hasNewerCuda } from '../devices/nvidia/cuda-compat.ts';
import { type LayerStack, layerStackOf } from '../store/layer-stack.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { lowersOf, lowersOfImage } from './container-rootfs.ts';
import { deviceContent, linksInDev, needsLayer } from './device-layer.ts';
import { filesOfImage } from './image-files.ts';
import { deviceRequestsOf } from './named-devices.ts';
import { removeDirectory } from './remove-directory.ts';
import { makeScaffold } from './scaffold.ts';

export interface PreparedDevices {
  readonly edits: DeviceEdits;
  /** Of the root, relative to the base of its layers, to lie over all of them; null: none. */
  readonly layer: string | null;
}

const nothingPrepared: PreparedDevices = { edits: noEdits, layer: null };

function holderOf({ id, name }: Container): DeviceHolder {
  return { id, title: `container ${name} (${id.slice(0, 12)})` };
}

/** Host path of the layer, while it runs. */
export function deviceLayerOf({ paths }: Pick<Container, 'paths'>): string {
  return join(paths.devices, 'layer');
}

/** The same promise for whoever asks for nothing. */
export function grantDevices(context: ContainerContext, container: Container): Promise<DeviceGrant> {
  const { hostConfig, config } = container;
  return context.devices.grant(holderOf(container), {
    requests: deviceRequestsOf(hostConfig),
    environment: config.Env,
    byRuntime: context.runtimes.meansGpus(hostConfig.Runtime),
    hasNewerCuda: (driverVersion) => hasNewerCuda(filesOfImage(imageOf(context, container)), driverVersion),
  });
}

function imageOf(context: ContainerContext, { record }: Container): LayerStack {
  const { base, lowers } = lowersOfImage(context, record.layers);
  return layerStackOf(base, lowers);
}

/** What was granted, made ready for the start. `covered`: where the container's own mounts are. */
export async function prepareDevices(
  context: ContainerContext,
  container: Container,
  { edits, held }: DeviceGrant,
  covered: readonly string[],
): Promise<PreparedDevices> {
  if (held.length === 0 && edits === noGrant.edits) return nothingPrepared;
  await removeDeviceLayer(container);
  const hasLayer = needsLayer(edits);
  const { nodes, env, additionalGids } = edits;
  container.devices = {
    held,
    nodes: nodes.map(({ path, hostPath, access }) => ({ path, hostPath, access })),
    env,
    additionalGids,
    hasLayer,
  };
  await context.records.update(container.record);
  return hasLayer ? await makeLayer(context, container, edits, covered) : { edits, layer: null };
}

async function makeLayer(
  context: ContainerContext,
  container: Container,
  edits: DeviceEdits,
  covered: readonly string[],
): Promise<PreparedDevices> {
  const { paths } = container;
  await mkdir(paths.devices, { mode: 0o700 });
  const { base, lowers } = lowersOf(context, container);
  const tree = { stack: layerStackOf(base, [paths.upper, ...lowers]), image: imageOf(context, container) };
  const content = await deviceContent(edits, tree, covered);
  if (content.problem !== null) context.logger.warn({ container: container.id }, content.problem);
  const layer = deviceLayerOf(container);
  makeScaffold(layer, tree, content);
  return { edits: { ...edits, mounts: [...edits.mounts, ...linksInDev(paths.devices, edits)] }, layer: relative(base, layer) };
}

/** At the end of a run, and after a start that failed. Never fails: the process is gone, whatever the disk says. */
export async function releaseDevices(context: ContainerContext, container: Container): Promise<void> {
  context.devices.release(container.id);
  if (container.devices === null) return;
  await removeDeviceLayer(container).catch((error) => {
    context.logger.warn(
      { container: container.id, error: errorText(error) },
      'cannot remove what devices laid over the image of a container',
    );
  });
  container.devices = null;
}

/** Of one that does not run. */
export async function removeDeviceLayer({ paths }: Pick<Container, 'paths'>): Promise<void> {
  await removeDirectory(paths.devices);
}

/** After a restart of the daemon, and under its new name. */
export function adoptDevices(context: ContainerContext, container: Container): void {
  const { devices } = container;
  if (devices !== null) context.devices.adopt(holderOf(container), devices.held);
}

/** For `exec`: the rest was done when the container started. */
export function editsOfExec({ devices }: Container): DeviceEdits {
  return devices === null ? noEdits : { ...noEdits, env: devices.env, additionalGids: devices.additionalGids };
}
