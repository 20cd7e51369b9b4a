/**
 * Networks without a kernel, for tests: addresses are counted up, what is attached is remembered, and a test may refuse or delay any call. Like the real one's
 * kernel side it outlives a daemon: give the same fake to a second service.
 */
import { createHash } from 'node:crypto';
import type { ContainerId } from '../../base/brand.ts';
import { conflict, EngineError, notFound } from '../../base/errors.ts';
import type {
  EndpointRequest,
  EndpointState,
  NetDevice,
  Networks,
  NetworkView,
  PortChange,
  RestoredContainer,
  Sandbox,
  SandboxRequest,
} from '../../network/networks.ts';

export class FakeNetworks implements Networks {
  readonly views = new Map<string, NetworkView>();
  readonly sandboxes = new Map<ContainerId, Sandbox>();
  /** `attach web`, `detach <id>`, … */
  readonly calls: string[] = [];
  readonly hostGateway = ['172.17.0.1'];
  /** What each call does first: a test may throw or wait here. */
  before: (call: string) => void | Promise<void> = () => {};
  usersOf: (id: string, name: string) => readonly ContainerId[] = () => [];
  restored: readonly RestoredContainer[] = [];
  #addresses = 1;

  constructor(names: readonly string[] = ['net1', 'net2']) {
    this.add('bridge', 'bridge', true);
    this.add('host', 'host', true);
    this.add('none', 'null', true);
    for (const name of names) this.add(name, 'bridge', false);
  }

  add(name: string, driver: NetworkView['driver'], predefined: boolean): NetworkView {
    const id = createHash('sha256').update(`${name} ${this.views.size}`).digest('hex');
    const view = { id, name, driver, predefined, endpoints: {} } as unknown as NetworkView;
    this.views.set(name, view);
    return view;
  }

  setUsers(usersOf: (id: string, name: string) => readonly ContainerId[]): void {
    this.usersOf = usersOf;
  }

  setContainerLookup(): void {}

  find(reference: string): NetworkView | null {
    return this.views.get(reference) ?? [...this.views.values()].find(({ id }) => id.startsWith(reference)) ?? null;
  }

  inspect(reference: string): NetworkView {
    const found = this.find(reference);
    if (found === null) throw notFound(`network ${reference} not found`);
    return found;
  }

  check(request: SandboxRequest): void {
    for (const { network } of request.endpoints) this.inspect(network);
  }

  async attach(request: SandboxRequest): Promise<Sandbox> {
    await this.#enter(`attach ${request.containerName}`);
    if (this.sandboxes.has(request.containerId)) throw conflict(`${request.containerId} is attached already`);
    const endpoints = Object.fromEntries(request.endpoints.map((endpoint) => this.#endpoint(request.containerId, endpoint)));
    const ports = Object.fromEntries(
      Object.entries(request.ports.bindings).map(([key, list]) => [key, list.map(({ HostIp, HostPort }) => binding(HostIp, HostPort))]),
    );
    return this.#keep({
      containerId: request.containerId,
      namespacePath: '/proc/self/fd/99',
      keep: [{ label: 'dns-udp', fd: 99 }],
      endpoints,
      ports: { ...Object.fromEntries(request.ports.exposed.map((key) => [key, null])), ...ports },
      resolver: { kind: 'embedded', address: '127.0.0.11' },
    });
  }

  sandbox(container: ContainerId): Sandbox | null {
    return this.sandboxes.get(container) ?? null;
  }

  async detach(container: ContainerId): Promise<void> {
    await this.#enter(`detach ${container}`);
    this.sandboxes.delete(container);
  }

  async connect(container: ContainerId, endpoint: EndpointRequest): Promise<Sandbox> {
    await this.#enter(`connect ${endpoint.network}`);
    const sandbox = this.#require(container);
    const [name, state] = this.#endpoint(container, endpoint);
    return this.#keep({
      ...sandbox,
      keep: [...sandbox.keep, { label: `port ${name}`, fd: 100 }],
      endpoints: { ...sandbox.endpoints, [name]: state },
    });
  }

  async disconnect(container: ContainerId, network: string): Promise<Sandbox> {
    await this.#enter(`disconnect ${network}`);
    const sandbox = this.#require(container);
    const { [this.inspect(network).name]: _, ...endpoints } = sandbox.endpoints;
    return this.#keep({ ...sandbox, endpoints });
  }

  async changePorts(container: ContainerId, change: PortChange): Promise<Sandbox> {
    await this.#enter('changePorts');
    const sandbox = this.#require(container);
    const ports = { ...sandbox.ports };
    for (const key of Object.keys(change.remove)) delete ports[key];
    for (const [key, list] of Object.entries(change.add)) ports[key] = list.map(({ HostIp, HostPort }) => binding(HostIp, HostPort));
    return this.#keep({ ...sandbox, ports });
  }

  async lendDevices(container: ContainerId, devices: readonly NetDevice[]): Promise<void> {
    if (devices.length > 0) await this.#enter(`lend ${container} ${devices.map(({ name }) => name).join(' ')}`);
  }

  async rename(container: ContainerId, name: string): Promise<void> {
    await this.#enter(`rename ${container} ${name}`);
  }

  async restore(running: readonly RestoredContainer[]): Promise<void> {
    await this.#enter('restore');
    this.restored = running;
    const known = new Set(running.map(({ containerId }) => containerId));
    for (const id of this.sandboxes.keys()) if (!known.has(id)) this.sandboxes.delete(id);
  }

  create(): Promise<never> {
    return this.#notFaked();
  }

  remove(): Promise<never> {
    return this.#notFaked();
  }

  prune(): Promise<never> {
    return this.#notFaked();
  }

  list(): readonly NetworkView[] {
    return [...this.views.values()];
  }

  publishedPorts(): readonly [] {
    return [];
  }

  onEvent(): () => void {
    return () => {};
  }

  async close(): Promise<void> {}

  async #notFaked(): Promise<never> {
    throw new EngineError('system', 'the fake networks are made by the test');
  }

  async #enter(call: string): Promise<void> {
    this.calls.push(call);
    await this.before(call);
  }

  #require(container: ContainerId): Sandbox {
    const sandbox = this.sandboxes.get(container);
    if (sandbox === undefined) throw new EngineError('system', `${container} is not attached`);
    return sandbox;
  }

  #keep(sandbox: Sandbox): Sandbox {
    this.sandboxes.set(sandbox.containerId, sandbox);
    return sandbox;
  }

  #endpoint(container: ContainerId, { network, settings }: EndpointRequest): readonly [string, EndpointState] {
    const { id, name } = this.inspect(network);
    const last = ++this.#addresses;
    return [
      name,
      {
        networkId: id,
        endpointId: createHash('sha256')
          .update(container + id)
          .digest('hex'),
        settings,
        macAddress: '',
        ipv4: settings.IPAMConfig?.IPv4Address ?? `172.17.0.${last}`,
        prefix4: 16,
        gateway4: '172.17.0.1',
        ipv6: '',
        prefix6: 0,
        gateway6: '',
        interfaceName: 'eth0',
        dnsNames: [],
      },
    ];
  }
}

function binding(HostIp: string, HostPort: string) {
  return { HostIp: HostIp || '0.0.0.0', HostPort: HostPort === '' || HostPort === '0' ? '32768' : HostPort };
}
