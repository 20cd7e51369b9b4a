/**
 * What the network service (main thread) asks of the net worker: the one thread that owns the netlink sockets, enters network namespaces and answers DNS.
 * Everything here is plain data. The worker decides nothing: addresses, names and order come from the service; host ports of a range are the one choice it makes,
 * because only binding tells which is free.
 *
 * Calls are carried out one at a time, in order. Each is all or nothing: after an error nothing of it is left.
 */
import type { KeptDescriptor } from '../linux/kept-descriptor.ts';

export interface NetCalls {
  /** First call: opens the sockets, takes over or makes our nft table, finds out what the kernel has. */
  open(settings: NetSettings): Promise<NetFacts>;
  /** Every subnet the host knows (routes of all tables but local/broadcast, addresses, nameservers), ours included, to allocate around. */
  hostSubnets(): Promise<readonly HostSubnet[]>;
  /** Makes it, or brings what is there under this name to this state. */
  ensureBridge(bridge: BridgeSpec): Promise<void>;
  removeBridge(networkId: string): Promise<void>;
  /** For macvlan and ipvlan: makes the parent (`eth0.10`) when it does not exist; `not-implemented` when the kernel lacks the driver. */
  ensureParent(parent: ParentSpec): Promise<void>;
  removeParent(networkId: string): Promise<void>;
  createSandbox(spec: SandboxSpec): Promise<SandboxResult>;
  removeSandbox(id: string): Promise<void>;
  /** `gateways`: who carries the default routes afterwards, which may be an endpoint that was there before. */
  addEndpoint(sandboxId: string, endpoint: EndpointSpec, dns: DnsSpec | null, gateways: DefaultGateways): Promise<SandboxResult>;
  /** Ports that lead to it go with it. */
  removeEndpoint(sandboxId: string, endpointId: string, dns: DnsSpec | null, gateways: DefaultGateways): Promise<SandboxResult>;
  /**
   * Publishes and unpublishes on a running sandbox; deletes the conntrack entries concerned. `remove` is done first: a port that is in both moves to
   * another endpoint.
   */
  changePorts(sandboxId: string, add: readonly PortSpec[], remove: readonly PortResult[]): Promise<SandboxResult>;
  /** Moves interfaces of the host into the sandbox; `removeSandbox` brings them back. */
  lendDevices(sandboxId: string, devices: readonly NetDeviceWish[]): Promise<readonly LentDevice[]>;
  setNames(endpointId: string, names: readonly string[]): Promise<void>;
  /** Once, at the start: the desired state of the whole. What else is ours in the kernel (links, set elements, conntrack) is removed. */
  restore(state: RestoreState): Promise<readonly RestoreOutcome[]>;
  /** For tests and `gantry info`: what the table holds. */
  describe(): Promise<NetDescription>;
  /** For audits: what is in the kernel and nobody's, and what should be there and is not. */
  survey(): Promise<NetSurvey>;
  /** Puts right what `survey` tells, but for sandboxes, which have their own calls. */
  mend(): Promise<void>;
  close(keep: boolean): Promise<void>;
}

/** What the worker tells without being asked. */
export type NetNotice =
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  /** A route came up (VPN) that overlaps one of our networks. */
  | { readonly kind: 'overlap'; readonly networkId: string; readonly subnet: string; readonly device: string };

export interface NetSettings {
  /** `gantry`, or `gantry-<id>`: name of the nft table, `<it>-user` of the administrator's; marks our links (IFLA_IFALIAS begins with it). */
  readonly globalName: string;
  /** False (`--iptables=false`): no table at all; ports then work by proxy alone. */
  readonly firewall: boolean;
  readonly firewall6: boolean;
  /** `--hardened`: of the host, containers reach DNS and nothing else; default: whatever listens. */
  readonly dnsOnly?: boolean;
  readonly ipForward: boolean;
  /** One jump where the host's own forward chain drops; false: only say so. */
  readonly forwardJump: boolean;
  /** `--userland-proxy`: [::1] and what NAT cannot reach. */
  readonly proxy: boolean;
  /** `proxy`: every port by an ordinary listener, so that the host's input policy is obeyed. */
  readonly publishMode: 'nat' | 'proxy';
  /** Host file that names the upstream resolvers, `/etc/resolv.conf`. */
  readonly resolvConf: string;
  /** Namespaces made ahead; 0 in tests that count. */
  readonly pool: number;
}

export interface NetFacts {
  readonly drivers: { readonly bridge: boolean; readonly macvlan: boolean; readonly ipvlan: boolean; readonly vlan: boolean };
  readonly ipv6: boolean;
  readonly tableSurvivesFlush: boolean;
  /** What the host must allow, in words, when something of it drops our traffic and we may not or cannot change that; empty: nothing. */
  readonly warnings: readonly string[];
}

export interface HostSubnet {
  readonly subnet: string;
  readonly device: string;
  /** Interface index: of two daemons that chose the same subnet at once, the higher gives way. 0: unknown (a nameserver). */
  readonly index: number;
  readonly ours: boolean;
}

/** `address/prefix` pairs are split; subnets are canonical CIDR texts. */
export interface BridgeSpec {
  readonly networkId: string;
  readonly networkName: string;
  /** ≤ 15 bytes. */
  readonly bridge: string;
  /** False: it existed before us (`com.docker.network.bridge.name` of the host's own bridge) and stays. */
  readonly own: boolean;
  readonly mtu: number;
  readonly v4: BridgeFamily | null;
  readonly v6: BridgeFamily | null;
  readonly internal: boolean;
  /** False: containers on it cannot reach each other directly (isolated bridge ports). */
  readonly icc: boolean;
  /** com.docker.network.bridge.trusted_host_interfaces: may reach containers directly. */
  readonly trustedInterfaces: readonly string[];
}

export interface BridgeFamily {
  readonly subnet: string;
  /** Address of the bridge itself; '' with gateway mode `isolated`. */
  readonly gateway: string;
  readonly prefix: number;
  readonly masquerade: boolean;
  /** com.docker.network.host_ipv4: source address instead of masquerade; ''. */
  readonly hostAddress: string;
  readonly gatewayMode: 'nat' | 'nat-unprotected' | 'routed' | 'isolated';
}

export interface ParentSpec {
  readonly networkId: string;
  readonly driver: 'macvlan' | 'ipvlan';
  /** '' : an isolated dummy (or a bridge, where the kernel has no dummy) is made. */
  readonly parent: string;
  readonly internal: boolean;
}

export interface SandboxSpec {
  /** Container id. */
  readonly id: string;
  readonly name: string;
  readonly endpoints: readonly EndpointSpec[];
  /** Null: no embedded DNS (only the default bridge). */
  readonly dns: DnsSpec | null;
  readonly ports: readonly PortSpec[];
}

export interface EndpointSpec {
  readonly id: string;
  readonly networkId: string;
  readonly link:
    | { readonly kind: 'bridge'; readonly bridge: string; readonly isolated: boolean }
    /** Parent '' : the isolated one that `ensureParent` made for the network. */
    | { readonly kind: 'macvlan'; readonly parent: string; readonly mode: 'bridge' | 'private' | 'vepa' | 'passthru' }
    | {
        readonly kind: 'ipvlan';
        readonly parent: string;
        readonly mode: 'l2' | 'l3' | 'l3s';
        readonly flag: 'bridge' | 'private' | 'vepa';
      };
  /** Name inside the namespace: `eth0`. */
  readonly interfaceName: string;
  /** '' : the kernel's choice. */
  readonly macAddress: string;
  readonly mtu: number;
  readonly v4: EndpointAddress | null;
  readonly v6: EndpointAddress | null;
  readonly linkLocal: readonly string[];
  /** Inside the namespace, for this interface: `net.ipv4.conf.IFNAME.log_martians` → '1' (com.docker.network.endpoint.sysctls), IFNAME already replaced. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** What DNS answers for it on its network; empty on the default bridge. */
  readonly names: readonly string[];
}

export interface EndpointAddress {
  readonly address: string;
  readonly prefix: number;
  readonly gateway: string;
  /** This endpoint carries the default route of its family. Exactly one per family at most. */
  readonly isDefaultGateway: boolean;
}

export interface NetDeviceWish {
  readonly hostInterfaceName: string;
  /** In the container. */
  readonly name: string;
}

/** What it was on the host. */
export interface LentDevice extends NetDeviceWish {
  /** In the container; 0: it was about to be moved. */
  readonly index: number;
  readonly up: boolean;
  /** Index of its bridge; 0: none. */
  readonly master: number;
  readonly addresses: readonly { readonly index: number; readonly address: string; readonly prefix: number; readonly scope: number }[];
}

/** Endpoint ids; null: no default route of that family. */
export interface DefaultGateways {
  readonly v4: string | null;
  readonly v6: string | null;
}

export interface DnsSpec {
  /** Networks whose names are answered, in the order they are searched. */
  readonly networks: readonly { readonly id: string; readonly name: string }[];
  /** Names that only this container sees (`--link`): name → container id of the target; addresses are those on shared networks. */
  readonly links: Readonly<Record<string, string>>;
  /** `--dns`: asked from inside the namespace. Empty: the host's resolvers, asked from the host. */
  readonly servers: readonly string[];
  /** False: every network is internal; the host's resolvers are never asked for it. Its own `servers` are, from inside, as far as its networks go. */
  readonly forward: boolean;
  /** `ndots` and the like change nothing for us; the resolver's `timeout` and `attempts` do. */
  readonly options: readonly string[];
}

export interface PortSpec {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  /** '' : every address of both families (IPv6 where the host has it). */
  readonly hostIp: string;
  /** Inclusive range to choose from; both 0: ephemeral. */
  readonly hostPorts: readonly [number, number];
  readonly mode: 'nat' | 'proxy';
  /** Id of the endpoint that it leads to, for clients of each family; null: no such address. With `target4` alone, IPv6 clients come by proxy. */
  readonly target4: string | null;
  readonly target6: string | null;
}

/** One per address family: `-p 80` on a host with IPv6 gives two with the same port. */
export interface PortResult {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostIp: string;
  readonly hostPort: number;
  readonly targetIp: string;
  readonly mode: 'nat' | 'proxy';
}

export interface SandboxResult {
  /** Descriptor number of the namespace in this process. */
  readonly namespaceFd: number;
  /** DNS sockets `dns-udp`, `dns-tcp`; port reservations `port/tcp/0.0.0.0/8080`. All there are, also the unchanged. */
  readonly keep: readonly KeptDescriptor[];
  readonly ports: readonly PortResult[];
  /** What the kernel chose where the specification left it open. */
  readonly endpoints: readonly { readonly id: string; readonly macAddress: string }[];
}

export interface RestoreState {
  readonly bridges: readonly BridgeSpec[];
  readonly parents: readonly ParentSpec[];
  readonly sandboxes: readonly RestoredSandbox[];
  /** Of containers that run no more. */
  readonly reclaimed?: readonly LentDevice[];
}

export interface RestoredSandbox {
  readonly spec: SandboxSpec;
  readonly ports: readonly PortResult[];
  readonly lent?: readonly LentDevice[];
  /** Init of the container: `/proc/PID/ns/net`. */
  readonly pid: number;
  readonly kept: { readonly pid: number; readonly descriptors: readonly KeptDescriptor[] };
}

export type RestoreOutcome =
  | { readonly id: string; readonly result: SandboxResult }
  /** It could not be taken over; said in words, and logged. */
  | { readonly id: string; readonly problem: string };

export interface NetSurvey {
  /** Names of interfaces with our mark that belong to nothing. */
  readonly ownerlessLinks: readonly string[];
  readonly missingBridges: readonly BridgeSpec[];
  /** Interfaces of containers whose host end somebody deleted, or took off its bridge. */
  readonly lostEndpoints: readonly LostEndpoint[];
  /** Elements of the nft table; null: there is no firewall. */
  readonly table: TableComparison | null;
  readonly sandboxes: readonly string[];
  /** Containers whose DNS is served. */
  readonly dnsSandboxes: readonly string[];
  /** Reserved ports: `tcp 0.0.0.0:8080`. */
  readonly portOwners: readonly { readonly sandboxId: string; readonly port: string }[];
}

export interface LostEndpoint {
  readonly sandboxId: string;
  readonly interfaceName: string;
  readonly how: 'deleted' | 'off its bridge';
}

export interface TableComparison {
  readonly name: string;
  readonly exists: boolean;
  readonly strayElements: number;
  readonly missingElements: number;
}

export interface NetDescription {
  readonly sandboxes: number;
  readonly links: readonly string[];
  readonly descriptors: number;
}
