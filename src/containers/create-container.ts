/**
 * Creation:   checked ──▶ name reserved ──▶ directory ──▶ volumes ──▶ record ──▶ in the registry, `create`
 *
 * What fails half-way is taken back. A crash between directory and record leaves a directory that no record names; the next boot removes it, and the anonymous
 * volumes that are noted in it.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerId } from '../base/brand.ts';
import { notFound } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import type { Image } from '../images/catalogue.ts';
import type { ImageConfig } from '../oci/image-config.ts';
import { commandOf } from './command-line.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { sandboxRequest, storedEndpoints } from './container-networks.ts';
import { containerPaths } from './container-paths.ts';
import type { ContainerRecord } from './container-record.ts';
import { lowersOfImage } from './container-rootfs.ts';
import { neverRan, storedRun } from './container-state.ts';
import { makeVolumes } from './container-volumes.ts';
import type { CreateRequest } from './containers.ts';
import { discardUnsupported } from './discard-limits.ts';
import { hostnameOf } from './hostname.ts';
import { askedIds } from './id-ranges.ts';
import { resolveLinks } from './links.ts';
import { mergeLogConfig } from './log-config.ts';
import { mergeImageConfig } from './merge-image-config.ts';
import { generateName } from './name-generator.ts';
import { planMounts } from './plan-mounts.ts';
import { removeDirectory } from './remove-directory.ts';
import { withResourceDefaults } from './resource-defaults.ts';
import { settleHostConfig } from './settle-host-config.ts';
import { storedHostConfig } from './stored-host-config.ts';
import { requiredBindSources, validateContainerName, validateCreate } from './validate-create.ts';

export async function createContainer(
  context: ContainerContext,
  asked: CreateRequest,
): Promise<{ readonly id: ContainerId; readonly warnings: readonly string[] }> {
  const LogConfig = mergeLogConfig(asked.hostConfig.LogConfig, context.logDefaults);
  const settled = await settleHostConfig({ ...asked.hostConfig, LogConfig }, context);
  const full = withResourceDefaults(settled.hostConfig, context.resourceDefaults);
  const { hostConfig, warnings: discarded } = discardUnsupported(full, context.host);
  const request: CreateRequest = { ...asked, hostConfig };
  const name = request.name === null || request.name === '' ? null : validateContainerName(request.name);
  const image = context.images.resolve(request.config.Image);
  refuseOtherPlatform(request, image);
  const there = await existingSources(context, request.hostConfig);
  const warnings = validateCreate(request.config, request.hostConfig, {
    host: context.host,
    pathExists: (path) => there.has(path),
  });
  const id = newContainerId();
  const config = storedConfig(context, id, request, image);
  const networks = storedEndpoints(config, request.hostConfig, request.endpoints, context.networks);
  const links = resolveLinks(request.hostConfig, (reference) => context.registry.find(reference));
  const layers = lowersOfImage(context, image.layers);
  const planned = planMounts(context, config, request.hostConfig, layers);
  const [path = '', ...args] = commandOf(config);
  await using undo = new AsyncDisposableStack();
  const reserved = reserveName(context, undo, id, name);
  const record: ContainerRecord = {
    version: 1,
    id,
    name: reserved,
    createdAt: Date.now(),
    path,
    args,
    imageId: image.id,
    imageReference: request.config.Image,
    imageSizeBytes: image.sizeBytes,
    layers: image.layers,
    platform: platformOf(image.config),
    config,
    hostConfig: storedHostConfig(request.hostConfig, context.host),
    networks,
    links,
    mounts: [],
    ...claimIds(context, undo, request.hostConfig.UsernsMode),
    state: storedRun('created', neverRan),
  };
  checkNetworks(context, record);
  const { directory } = containerPaths(context.root, id);
  undo.defer(() => removeDirectory(directory));
  await mkdir(directory, { mode: 0o700 });
  failpoint('create.directory-made');
  const mounts = await makeVolumes(context, undo, { id, directory }, planned, layers);
  failpoint('create.volumes-made');
  await makeContainer(context, { ...record, mounts });
  context.volumeClaims.drop(id);
  if (record.idRange !== undefined) context.idRanges.settle(record.idRange);
  undo.move();
  return { id, warnings: [...discarded, ...warnings, ...settled.warnings] };
}

function claimIds(context: ContainerContext, undo: AsyncDisposableStack, mode: string): Pick<ContainerRecord, 'idRange'> {
  const size = askedIds(mode);
  if (size === null) return {};
  const taken = context.registry.all().flatMap(({ record }) => record.idRange ?? []);
  const idRange = context.idRanges.claim(size, taken);
  undo.defer(() => context.idRanges.settle(idRange));
  return { idRange };
}

/** Of the bind mounts that are not made when they are missing. */
async function existingSources({ hostPaths }: ContainerContext, hostConfig: HostConfig): Promise<ReadonlySet<string>> {
  const sources = requiredBindSources(hostConfig);
  const looks = await Promise.all(sources.map((source) => hostPaths.look(source)));
  return new Set(sources.filter((_, index) => looks[index] !== null));
}

async function makeContainer(context: ContainerContext, record: ContainerRecord): Promise<void> {
  const paths = containerPaths(context.root, record.id);
  await context.records.insert(record);
  failpoint('create.recorded');
  const container = new Container(record, paths);
  context.registry.add(container);
  context.events.emit('create', container);
}

/** What can be known before a start. */
function checkNetworks(context: ContainerContext, record: ContainerRecord): void {
  const request = sandboxRequest(record, context.host, context.daemonDns);
  if (request !== null) context.networks.check(request);
}

function newContainerId(): ContainerId {
  return randomBytes(32).toString('hex') as ContainerId;
}

function reserveName(context: ContainerContext, undo: AsyncDisposableStack, id: ContainerId, asked: string | null): string {
  const name = asked ?? generateName((candidate) => context.registry.isNameFree(candidate));
  context.registry.reserveName(name, id);
  undo.defer(() => context.registry.releaseName(name, id));
  return name;
}

function storedConfig(context: ContainerContext, id: ContainerId, { config, hostConfig }: CreateRequest, image: Image): ContainerConfig {
  const merged = mergeImageConfig(config, image.config.config);
  return { ...merged, Hostname: shownHostname(context, id, config, hostConfig) };
}

/** With another container's network a container has that one's name; it is looked up again at each start. */
function shownHostname(context: ContainerContext, id: ContainerId, config: ContainerConfig, hostConfig: HostConfig): string {
  const { NetworkMode: network } = hostConfig;
  if (!network.startsWith('container:')) return hostnameOf({ id, config, hostConfig, host: context.host });
  return context.registry.resolve(network.slice('container:'.length)).config.Hostname;
}

function refuseOtherPlatform(request: CreateRequest, image: Image): void {
  if (request.platform === null || request.platform === '') return;
  const [os, architecture, variant] = request.platform.split('/');
  const { config } = image;
  const sameArchitecture = architecture === undefined || goArchitecture(architecture) === config.architecture;
  const sameVariant = variant === undefined || config.variant === undefined || variant === config.variant;
  if ((os === config.os || goArchitecture(os ?? '') === config.architecture) && sameArchitecture && sameVariant) return;
  throw notFound(
    `image with reference ${request.config.Image} was found but does not match the specified platform: wanted ${request.platform}, actual: ${platformOf(config)}`,
  );
}

function goArchitecture(name: string): string {
  return { x86_64: 'amd64', 'x86-64': 'amd64', aarch64: 'arm64' }[name] ?? name;
}

function platformOf({ os, architecture, variant }: ImageConfig): string {
  return join(os, architecture, variant ?? '');
}
