/** What the daemon's options say about networks. Addresses and subnets here were checked where the options are read. */
import type { DnsWishes } from './networks.ts';

export interface NetworkSettings {
  /** `--bridge`: null: our own; `none`: no default network; else a bridge of the host, which is used as it is. */
  readonly bridge: string | null;
  /** `--bip`, `--bip6`: address and prefix of our own default bridge. */
  readonly bridgeAddress: string | null;
  readonly bridgeAddress6: string | null;
  /** `--fixed-cidr`, `--fixed-cidr-v6`: where addresses of the default bridge come from. */
  readonly fixedCidr: string | null;
  readonly fixedCidr6: string | null;
  /** `--ipv6`, of the default bridge. */
  readonly ipv6: boolean;
  /** `--default-gateway`, `--default-gateway-v6`: of the default bridge, when it is not the bridge itself. */
  readonly defaultGateway: string | null;
  readonly defaultGateway6: string | null;
  /** `--default-address-pool`; empty: ours. */
  readonly addressPools: readonly { readonly base: string; readonly size: number }[];
  /** `--default-network-opt`: driver → option → value, for networks that don't say it themselves. */
  readonly networkOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Of the default bridge. */
  readonly mtu: number;
  readonly icc: boolean;
  readonly masquerade: boolean;
  /** `--ip`: where ports are published that name no address; '': everywhere. */
  readonly publishAddress: string;
  readonly publishMode: 'nat' | 'proxy';
  /** `--hardened`: containers reach no service of the host but DNS. */
  readonly hardened: boolean;
  readonly ipForward: boolean;
  readonly firewall: boolean;
  readonly firewall6: boolean;
  readonly forwardJump: boolean;
  readonly userlandProxy: boolean;
  /** `--dns`, `--dns-search`, `--dns-opt`: for containers that don't say it themselves. */
  readonly dns: DnsWishes;
  /** `--host-gateway-ip`; empty: the default bridge's own addresses. */
  readonly hostGatewayIps: readonly string[];
}

export const defaultNetworkSettings: NetworkSettings = {
  bridge: null,
  bridgeAddress: null,
  bridgeAddress6: null,
  fixedCidr: null,
  fixedCidr6: null,
  ipv6: false,
  defaultGateway: null,
  defaultGateway6: null,
  addressPools: [],
  networkOptions: {},
  mtu: 1500,
  icc: true,
  masquerade: true,
  publishAddress: '',
  publishMode: 'nat',
  hardened: false,
  ipForward: true,
  firewall: true,
  firewall6: true,
  forwardJump: true,
  userlandProxy: true,
  dns: { servers: [], search: [], options: [] },
  hostGatewayIps: [],
};
