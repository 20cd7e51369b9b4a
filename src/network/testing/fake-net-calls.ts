/**
 * A net worker that changes nothing: it keeps what it was told, chooses ports, and refuses what a kernel would refuse (a taken port, an unknown bridge).
 * A new one with the same `host` is the next daemon on the same machine.
 */
import { conflict, EngineError } from '../../base/errors.ts';
import type {
  BridgeSpec,
  DefaultGateways,
  DnsSpec,
  EndpointSpec,
  HostSubnet,
  LentDevice,
  NetCalls,
  NetDeviceWish,
  NetFacts,
  NetSettings,
  NetSurvey,
  ParentSpec,
  PortResult,
  PortSpec,
  RestoreState,
  SandboxResult,
  SandboxSpec,
} from '../net-calls.ts';

export interface FakeSandbox {
  readonly spec: SandboxSpec;
  readonly ports: readonly PortResult[];
  readonly gateways: DefaultGateways;
}

/** What is on the machine, whoever made it. Devices get rising indexes. */
export class FakeHost {
  readonly subnets: HostSubnet[] = [{ subnet: '192.0.2.0/24', device: 'host0', index: 2, ours: false }];
  /** `tcp 0.0.0.0:8080`, of programs that are not ours. */
  readonly listeners = new Set<string>();
  #index = 10;

  nextIndex(): number {
    return this.#index++;
  }
}

export class FakeNetCalls implements NetCalls {
  readonly host: FakeHost;
  readonly bridges = new Map<string, BridgeSpec & { readonly index: number }>();
  readonly parents = new Map<string, ParentSpec>();
  readonly sandboxes = new Map<string, FakeSandbox>();
  readonly names = new Map<string, readonly string[]>();
  readonly facts: { -readonly [Key in keyof NetFacts]: NetFacts[Key] } = {
    drivers: { bridge: true, macvlan: true, ipvlan: true, vlan: true },
    ipv6: true,
    tableSurvivesFlush: true,
    warnings: [],
  };
  /** What `survey` says. */
  surveyed: NetSurvey = {
    ownerlessLinks: [],
    missingBridges: [],
    lostEndpoints: [],
    table: null,
    sandboxes: [],
    dnsSandboxes: [],
    portOwners: [],
  };
  settings: NetSettings | null = null;
  restored: RestoreState | null = null;
  /** Names of the calls, in order. */
  readonly log: string[] = [];
  /** Thrown by the next call with the name. */
  readonly failures = new Map<string, Error>();
  /** Runs before a call is carried out: another daemon that is quicker. */
  before: (call: string) => void = () => {};
  closedWith: boolean | null = null;
  #port = 32_768;

  constructor(host = new FakeHost()) {
    this.host = host;
  }

  async open(settings: NetSettings): Promise<NetFacts> {
    this.#called('open');
    this.settings = settings;
    return this.facts;
  }

  async hostSubnets(): Promise<readonly HostSubnet[]> {
    this.#called('hostSubnets');
    const own = [...this.bridges.values()].flatMap(({ bridge, index, v4, v6 }) =>
      [v4, v6].flatMap((family) => (family === null ? [] : [{ subnet: family.subnet, device: bridge, index, ours: true }])),
    );
    return [...this.host.subnets, ...own];
  }

  async ensureBridge(bridge: BridgeSpec): Promise<void> {
    this.#called('ensureBridge');
    this.bridges.set(bridge.networkId, { ...bridge, index: this.bridges.get(bridge.networkId)?.index ?? this.host.nextIndex() });
  }

  async removeBridge(networkId: string): Promise<void> {
    this.#called('removeBridge');
    this.bridges.delete(networkId);
  }

  async ensureParent(parent: ParentSpec): Promise<void> {
    this.#called('ensureParent');
    this.parents.set(parent.networkId, parent);
  }

  async removeParent(networkId: string): Promise<void> {
    this.#called('removeParent');
    this.parents.delete(networkId);
  }

  async createSandbox(spec: SandboxSpec): Promise<SandboxResult> {
    this.#called('createSandbox');
    for (const { link, networkId } of spec.endpoints) this.#requireLink(link.kind, networkId);
    const ports = this.#publish(spec.endpoints, spec.ports, []);
    this.sandboxes.set(spec.id, { spec, ports, gateways: gatewaysOf(spec.endpoints) });
    return this.#result(spec.id);
  }

  async removeSandbox(id: string): Promise<void> {
    this.#called('removeSandbox');
    this.sandboxes.delete(id);
  }

  async addEndpoint(id: string, endpoint: EndpointSpec, dns: DnsSpec | null, gateways: DefaultGateways): Promise<SandboxResult> {
    this.#called('addEndpoint');
    this.#requireLink(endpoint.link.kind, endpoint.networkId);
    const { spec, ports } = this.#sandbox(id);
    this.sandboxes.set(id, { spec: { ...spec, dns, endpoints: [...spec.endpoints, endpoint] }, ports, gateways });
    return this.#result(id);
  }

  async removeEndpoint(id: string, endpointId: string, dns: DnsSpec | null, gateways: DefaultGateways): Promise<SandboxResult> {
    this.#called('removeEndpoint');
    const { spec, ports } = this.#sandbox(id);
    const gone = spec.endpoints.find((endpoint) => endpoint.id === endpointId);
    const left = ports.filter(({ targetIp }) => targetIp !== gone?.v4?.address && targetIp !== gone?.v6?.address);
    this.sandboxes.set(id, { spec: { ...spec, dns, endpoints: spec.endpoints.filter((other) => other !== gone) }, ports: left, gateways });
    return this.#result(id);
  }

  async changePorts(id: string, add: readonly PortSpec[], remove: readonly PortResult[]): Promise<SandboxResult> {
    this.#called('changePorts');
    const { spec, ports, gateways } = this.#sandbox(id);
    const key = (port: PortResult) => `${port.protocol} ${port.containerPort} ${port.hostIp} ${port.hostPort}`;
    const gone = new Set(remove.map(key));
    const left = ports.filter((port) => !gone.has(key(port)));
    this.sandboxes.set(id, { spec, ports: left, gateways });
    try {
      this.sandboxes.set(id, { spec, ports: [...left, ...this.#publish(spec.endpoints, add, left)], gateways });
    } catch (thrown) {
      this.sandboxes.set(id, { spec, ports, gateways });
      throw thrown;
    }
    return this.#result(id);
  }

  async lendDevices(id: string, devices: readonly NetDeviceWish[]): Promise<readonly LentDevice[]> {
    this.#called('lendDevices');
    this.#sandbox(id);
    return devices.map((device) => ({ ...device, index: this.host.nextIndex(), up: true, master: 0, addresses: [] }));
  }

  async setNames(endpointId: string, names: readonly string[]): Promise<void> {
    this.#called('setNames');
    this.names.set(endpointId, names);
  }

  async restore(state: RestoreState) {
    this.#called('restore');
    this.restored = state;
    for (const bridge of state.bridges) this.bridges.set(bridge.networkId, { ...bridge, index: this.host.nextIndex() });
    for (const parent of state.parents) this.parents.set(parent.networkId, parent);
    return state.sandboxes.map(({ spec, ports, pid }) => {
      if (pid < 0) return { id: spec.id, problem: 'its process is gone' };
      this.sandboxes.set(spec.id, { spec, ports, gateways: gatewaysOf(spec.endpoints) });
      return { id: spec.id, result: this.#result(spec.id) };
    });
  }

  async describe() {
    return { sandboxes: this.sandboxes.size, links: [...this.bridges.values()].map(({ bridge }) => bridge), descriptors: 0 };
  }

  async survey() {
    this.#called('survey');
    return this.surveyed;
  }

  async mend(): Promise<void> {
    this.#called('mend');
  }

  async close(keep: boolean): Promise<void> {
    this.#called('close');
    this.closedWith = keep;
  }

  #called(call: string): void {
    this.log.push(call);
    this.before(call);
    const failure = this.failures.get(call);
    this.failures.delete(call);
    if (failure !== undefined) throw failure;
  }

  #sandbox(id: string): FakeSandbox {
    const found = this.sandboxes.get(id);
    if (found === undefined) throw new EngineError('not-found', `the net worker knows no sandbox ${id}`);
    return found;
  }

  #requireLink(kind: string, networkId: string): void {
    if (kind === 'bridge' ? !this.bridges.has(networkId) : !this.parents.has(networkId))
      throw new EngineError('system', `the net worker knows no network ${networkId}`);
  }

  #publish(endpoints: readonly EndpointSpec[], specs: readonly PortSpec[], own: readonly PortResult[]): readonly PortResult[] {
    const made: PortResult[] = [];
    for (const spec of specs) {
      const addresses = spec.hostIp === '' ? ['0.0.0.0', '::'] : [spec.hostIp];
      const [first, last] = spec.hostPorts;
      const candidates = first === 0 ? [this.#port++] : Array.from({ length: last - first + 1 }, (_, index) => first + index);
      const free = candidates.find((port) => addresses.every((address) => !this.#isTaken(spec.protocol, address, port, [...own, ...made])));
      if (free === undefined) throw conflict(`Bind for ${addresses[0]}:${first} failed: port is already allocated`);
      for (const hostIp of addresses) {
        const target = endpoints.find(({ id }) => id === (hostIp.includes(':') ? (spec.target6 ?? spec.target4) : spec.target4));
        const targetIp = (hostIp.includes(':') ? target?.v6?.address : undefined) ?? target?.v4?.address ?? target?.v6?.address ?? '';
        made.push({ protocol: spec.protocol, containerPort: spec.containerPort, hostIp, hostPort: free, targetIp, mode: spec.mode });
      }
    }
    return made;
  }

  #isTaken(protocol: string, address: string, port: number, more: readonly PortResult[]): boolean {
    if (this.host.listeners.has(`${protocol} ${address}:${port}`)) return true;
    const all = [...more, ...[...this.sandboxes.values()].flatMap(({ ports }) => ports)];
    return all.some((other) => {
      const wildcard = ['0.0.0.0', '::'].some((any) => any === other.hostIp || any === address);
      const sameFamily = other.hostIp.includes(':') === address.includes(':');
      return other.protocol === protocol && other.hostPort === port && sameFamily && (wildcard || other.hostIp === address);
    });
  }

  #result(id: string): SandboxResult {
    const { spec, ports } = this.#sandbox(id);
    return {
      namespaceFd: 100 + [...this.sandboxes.keys()].indexOf(id),
      keep: ports.map((port, index) => ({ label: `port/${port.protocol}/${port.hostIp}/${port.hostPort}`, fd: 200 + index })),
      ports,
      endpoints: spec.endpoints.map((endpoint) => ({ id: endpoint.id, macAddress: endpoint.macAddress || '02:00:00:00:00:01' })),
    };
  }
}

function gatewaysOf(endpoints: readonly EndpointSpec[]): DefaultGateways {
  return {
    v4: endpoints.find(({ v4 }) => v4?.isDefaultGateway)?.id ?? null,
    v6: endpoints.find(({ v6 }) => v6?.isDefaultGateway)?.id ?? null,
  };
}
