/** Networks and ports of a container that exists: connect, disconnect, publish, unpublish. Each runs inside the container's lane and is stored. */
import { conflict, EngineError, invalid } from '../base/errors.ts';
import type { EndpointSettings, NetworkView, PortChange, Sandbox } from '../network/networks.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { isNetwork, joinsContainer, notConnected, refuseMixed, sandboxRequest, sharedNetworkText } from './container-networks.ts';
import type { StoredEndpoint } from './container-record.ts';
import { keepForDaemon, updateFiles } from './container-sandbox.ts';
import { requireRunning } from './container-state.ts';
import { changedBindings } from './port-bindings.ts';

const hostNetworkText = 'container cannot be disconnected from host network or connected to host network';

export async function connectNetwork(
  context: ContainerContext,
  container: Container,
  reference: string,
  settings: EndpointSettings,
): Promise<void> {
  refuseRemoved(container);
  const network = context.networks.inspect(reference);
  refuseConnect(container, network);
  // Docker lets that pass as long as the container does not run.
  if (container.record.networks.some((endpoint) => isNetwork(endpoint, network))) return;
  const added: StoredEndpoint = { network: network.name, networkId: network.id, settings };
  const networks = [...container.record.networks, added];
  const request = sandboxRequest({ ...container.record, networks }, context.host, context.daemonDns);
  if (request !== null) context.networks.check(request);
  if (container.state.status !== 'running') return await storeNetworks(context, container, networks);
  requireSandbox(context, container);
  const sandbox = await context.networks.connect(container.id, { network: network.id, settings });
  await followSandbox(context, container, sandbox, networks);
}

export async function disconnectNetwork(
  context: ContainerContext,
  container: Container,
  reference: string,
  { force }: { readonly force: boolean },
): Promise<void> {
  refuseRemoved(container);
  const network = findNetwork(context, reference, force);
  const named = (endpoint: StoredEndpoint) => (network === null ? endpoint.network === reference : isNetwork(endpoint, network));
  const { hostConfig, record, state } = container;
  if (hostConfig.NetworkMode === 'host' && network?.driver === 'host') throw invalid(hostNetworkText);
  if (joinsContainer(hostConfig.NetworkMode) || !record.networks.some(named)) {
    throw notConnected(container, network?.name ?? reference);
  }
  const networks = record.networks.filter((endpoint) => !named(endpoint));
  if (state.status !== 'running' || network === null || network.driver === 'null') return await storeNetworks(context, container, networks);
  requireSandbox(context, container);
  const sandbox = await context.networks.disconnect(container.id, network.id);
  await followSandbox(context, container, sandbox, networks);
}

/** A daemon died between the change of a network and its record, or between a start and its record: the networks know what the container is on. */
export async function settleNetworks(context: ContainerContext, container: Container, sandbox: Sandbox): Promise<void> {
  const { networks: stored } = container.record;
  const staying = stored.filter(({ network }) => sandbox.endpoints[network] !== undefined);
  const joined = Object.entries(sandbox.endpoints).filter(([name]) => !stored.some(({ network }) => network === name));
  const added = joined.map(([network, { networkId, settings }]): StoredEndpoint => ({ network, networkId, settings }));
  if (added.length === 0 && staying.length === stored.length) return;
  await followSandbox(context, container, sandbox, [...staying, ...added]);
}

/** Published ports of a running container, and of its next start. */
export async function changePorts(context: ContainerContext, container: Container, change: PortChange): Promise<void> {
  requireRunning(container.id, container.state);
  requireSandbox(context, container);
  const hostConfig = changedBindings(container.config, container.hostConfig, change);
  const sandbox = await context.networks.changePorts(container.id, change);
  const undo = container.change({ hostConfig });
  await keepSandbox(context, container, sandbox);
  await store(context, container, undo);
}

function refuseRemoved({ id, state }: Container): void {
  if (state.status !== 'removing' && state.status !== 'dead') return;
  throw conflict(`Container ${id} is marked for removal and cannot be connected or disconnected to the network`);
}

function refuseConnect(container: Container, network: NetworkView): void {
  const { hostConfig, name, record, state } = container;
  if (network.driver === 'host' && hostConfig.NetworkMode !== 'host') throw invalid(hostNetworkText);
  if (joinsContainer(hostConfig.NetworkMode)) throw invalid(sharedNetworkText);
  const { networks } = record;
  if (state.status === 'running' && networks.some((endpoint) => isNetwork(endpoint, network))) {
    throw new EngineError('forbidden', `endpoint with name ${name} already exists in network ${network.name}`);
  }
  refuseMixed([...new Set([...networks.map((endpoint) => endpoint.network), network.name])]);
}

/** A running container without a network of its own cannot get one: its namespace is nobody's to manage. */
function requireSandbox(context: ContainerContext, container: Container): void {
  if (context.networks.sandbox(container.id) !== null) return;
  const { NetworkMode: mode } = container.hostConfig;
  if (mode === 'host' || joinsContainer(mode)) throw invalid(sharedNetworkText);
  throw invalid(`container ${container.id} was started without networks (--network none): stop it first, and connect it then`);
}

function findNetwork(context: ContainerContext, reference: string, force: boolean): NetworkView | null {
  return force ? context.networks.find(reference) : context.networks.inspect(reference);
}

async function followSandbox(
  context: ContainerContext,
  container: Container,
  sandbox: Sandbox,
  networks: readonly StoredEndpoint[],
): Promise<void> {
  const undo = container.change({ networks });
  await keepSandbox(context, container, sandbox);
  await updateFiles(context, container);
  await store(context, container, undo);
}

async function keepSandbox(context: ContainerContext, container: Container, sandbox: Sandbox): Promise<void> {
  // It may have ended meanwhile: then its end looks after the rest.
  if (container.state.status === 'running') await keepForDaemon(context, container, container.state.process, sandbox);
}

async function storeNetworks(context: ContainerContext, container: Container, networks: readonly StoredEndpoint[]): Promise<void> {
  await store(context, container, container.change({ networks }));
}

async function store(context: ContainerContext, container: Container, undo: () => void): Promise<void> {
  try {
    await context.records.update(container.record, 'full');
  } catch (error) {
    undo();
    throw error;
  }
}
