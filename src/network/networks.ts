/**
 * What `containers` and `api` may ask of networks. The implementation is `network-service.ts`; the kernel's side runs in the net worker (`net-calls.ts`).
 *
 * Life of a container's network:
 *
 *   attach ──▶ Sandbox (namespace, interfaces, addresses, ports, DNS: all ready) ──▶ the runtime joins `namespacePath`
 *      connect / disconnect / changePorts while it runs
 *   detach ──▶ nothing of it is left
 *
 * A daemon that starts calls `restore` once, after it knows which containers run; what belongs to none of them is removed then.
 */
import type { ContainerId } from '../base/brand.ts';
import type { KeptDescriptor } from '../linux/kept-descriptor.ts';

export interface Networks {
  create(request: NetworkCreateRequest): Promise<{ readonly id: string; readonly warning: string }>;
  /** `forbidden` for predefined networks and while it has active endpoints, with Docker's texts. */
  remove(reference: string): Promise<void>;
  /** Names of what was removed. Networks that a container (running or not) uses stay: `usedBy` tells. */
  prune(filters: NetworkFilters): Promise<readonly string[]>;
  /** Unknown filter keys are refused: `invalid filter 'x'`. */
  list(filters: NetworkFilters): readonly NetworkView[];
  /** By full id, name, or unique prefix of an id; `not-found`: `network X not found`. */
  inspect(reference: string): NetworkView;
  find(reference: string): NetworkView | null;

  /**
   * What can be known before a start: the network exists, `--ip` lies in a subnet that the user chose, aliases and links are allowed there, the MAC is one, the
   * combination of networks is possible, the ports can be parsed. Throws Docker's errors. Pure: nothing is reserved.
   */
  check(request: SandboxRequest): void;
  /** Throws `conflict` with the holder's name when a port or a fixed address is taken; nothing is left then. */
  attach(request: SandboxRequest): Promise<Sandbox>;
  /** Of an attached container; null when it has no network of its own (stopped, `host`, `none`, another's). */
  sandbox(container: ContainerId): Sandbox | null;
  /** Idempotent. The addresses and ports are free when it resolves. */
  detach(container: ContainerId): Promise<void>;
  /** A running container joins one more network. Returns what to keep beside what is kept already. */
  connect(container: ContainerId, endpoint: EndpointRequest): Promise<Sandbox>;
  disconnect(container: ContainerId, network: string): Promise<Sandbox>;
  /** Beyond Docker: ports of a running container. `remove` names container port and protocol, or one binding of it. */
  changePorts(container: ContainerId, change: PortChange): Promise<Sandbox>;
  /**
   * Moves interfaces of the host into the namespace of an attached container that has not started yet; `detach` brings them back as they were. All or nothing.
   * `not-found` and `conflict` name the interface. Without a namespace of its own: `refuseNetDevices` in net-devices.ts.
   */
  lendDevices(container: ContainerId, devices: readonly NetDevice[]): Promise<void>;
  /** After a rename: DNS answers the new name. */
  rename(container: ContainerId, name: string): Promise<void>;
  restore(running: readonly RestoredContainer[]): Promise<void>;

  /** Everything that is exposed, by whom. */
  publishedPorts(): readonly PublishedPortOwner[];
  /** Containers whose stored configuration names the network, running or not; the composition root hands it in. */
  setUsers(usersOf: (networkId: string, networkName: string) => readonly ContainerId[]): void;
  /** For `--add-host name:host-gateway`, which may be several addresses (IPv4, IPv6). */
  readonly hostGateway: readonly string[];
  onEvent(listener: (event: NetworkEvent) => void): () => void;
  /** `keep`: containers run on, so their network stays in the kernel; else nothing of ours stays there. */
  close(keep: boolean): Promise<void>;
}

export interface NetworkCreateRequest {
  readonly name: string;
  /** '' means bridge. */
  readonly driver: string;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ingress: boolean;
  readonly configOnly: boolean;
  readonly configFrom: string | null;
  readonly scope: string;
  /** Null: the default (true). */
  readonly enableIPv4: boolean | null;
  readonly enableIPv6: boolean | null;
  readonly ipam: { readonly driver: string; readonly options: Readonly<Record<string, string>>; readonly config: readonly IpamConfig[] };
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** As in Docker's JSON. */
export interface IpamConfig {
  readonly Subnet?: string;
  readonly IPRange?: string;
  readonly Gateway?: string;
  readonly AuxiliaryAddresses?: Readonly<Record<string, string>>;
}

export type NetworkFilters = Readonly<Record<string, readonly string[]>>;

export interface NetworkView {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly scope: 'local';
  readonly driver: 'bridge' | 'host' | 'null' | 'macvlan' | 'ipvlan';
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ingress: boolean;
  readonly configOnly: boolean;
  readonly configFrom: string;
  readonly ipam: {
    readonly driver: string;
    readonly options: Readonly<Record<string, string>> | null;
    readonly config: readonly IpamConfig[];
  };
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Of running containers, by container id. */
  readonly endpoints: Readonly<Record<string, { readonly containerName: string; readonly endpoint: EndpointState }>>;
  readonly predefined: boolean;
}

/** Docker's EndpointSettings as sent at create or connect, normalised: absent is null or empty. Stored with the container. */
export interface EndpointSettings {
  readonly IPAMConfig: { readonly IPv4Address?: string; readonly IPv6Address?: string; readonly LinkLocalIPs?: readonly string[] } | null;
  /** `container:alias`, on user networks. */
  readonly Links: readonly string[] | null;
  readonly Aliases: readonly string[] | null;
  readonly MacAddress: string;
  readonly DriverOpts: Readonly<Record<string, string>> | null;
  /** The default gateway is that of the highest; equal: by name. */
  readonly GwPriority: number;
}

export interface EndpointRequest {
  /** Name or id. */
  readonly network: string;
  readonly settings: EndpointSettings;
}

export interface SandboxRequest {
  readonly containerId: ContainerId;
  readonly containerName: string;
  readonly hostname: string;
  readonly domainname: string;
  /** At least one. The first is that of `--network`; only it takes part in links of the default bridge. */
  readonly endpoints: readonly EndpointRequest[];
  readonly ports: PortWishes;
  readonly dns: DnsWishes;
}

export interface PortWishes {
  /** `80/tcp`, of image and container. */
  readonly exposed: readonly string[];
  /** Docker's PortBindings: `80/tcp` (or `80`) → bindings; HostPort '' or '0' is ephemeral, 'a-b' a range to choose from. */
  readonly bindings: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[]>>;
  readonly publishAll: boolean;
}

export interface DnsWishes {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

export interface Sandbox {
  readonly containerId: ContainerId;
  /** `/proc/<daemon>/fd/N`: for the runtime spec; valid until `detach`. */
  readonly namespacePath: string;
  /** All that is to be kept by the monitor, the unchanged included. */
  readonly keep: readonly KeptDescriptor[];
  /** By network name. */
  readonly endpoints: Readonly<Record<string, EndpointState>>;
  /** Exposed ports too: null where nothing is published. Key `80/tcp`. */
  readonly ports: Readonly<Record<string, readonly PortBinding[] | null>>;
  /** What /etc/resolv.conf must say. `host`: the host's own text is the base. */
  readonly resolver: { readonly kind: 'embedded'; readonly address: '127.0.0.11' } | { readonly kind: 'host' };
}

/** What Docker's inspect shows of an endpoint. Addresses are plain, '' when there is none. */
export interface EndpointState {
  readonly networkId: string;
  readonly endpointId: string;
  readonly settings: EndpointSettings;
  readonly macAddress: string;
  readonly ipv4: string;
  readonly prefix4: number;
  readonly gateway4: string;
  readonly ipv6: string;
  readonly prefix6: number;
  readonly gateway6: string;
  /** Interface inside: `eth0`. */
  readonly interfaceName: string;
  /** Every name that DNS answers for it, in Docker's order: container name, aliases, short id, hostname. Empty on the default bridge. */
  readonly dnsNames: readonly string[];
}

export interface NetDevice {
  readonly hostInterfaceName: string;
  /** In the container. */
  readonly name: string;
}

export interface PortBinding {
  /** `0.0.0.0`, `::` or an address of the host. */
  readonly HostIp: string;
  readonly HostPort: string;
}

export interface PortChange {
  readonly add: PortWishes['bindings'];
  /** `80/tcp` → all of its bindings (empty list), or those named. */
  readonly remove: PortWishes['bindings'];
}

export interface PublishedPortOwner {
  readonly containerId: ContainerId;
  readonly containerName: string;
  readonly networkName: string;
  readonly protocol: string;
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerIp: string;
  readonly containerPort: number;
  /** `nat`: rewritten by the kernel, the client's address is kept and the host's input policy is not asked; `proxy`: an ordinary listener of the host. */
  readonly how: 'nat' | 'proxy';
  /** Vantage points from which it can be reached: `host`, `containers`, `network` (other machines). */
  readonly reachableFrom: readonly ('host' | 'containers' | 'network')[];
}

/** A container that runs while the daemon starts. Its stored endpoint states are the network's own (its table in the database). */
export interface RestoredContainer {
  readonly containerId: ContainerId;
  readonly containerName: string;
  readonly pid: number;
  /** Of the process that keeps descriptors for us (the monitor), with its descriptor numbers. */
  readonly kept: { readonly pid: number; readonly descriptors: readonly KeptDescriptor[] };
}

export interface NetworkEvent {
  /** create, connect, disconnect, destroy, remove, prune */
  readonly action: string;
  readonly id: string;
  /** name, type (the driver), container */
  readonly attributes: Readonly<Record<string, string>>;
}
