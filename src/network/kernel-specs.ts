/** What the worker is told of a network: its record in the kernel's terms. Pure. */
import { type BridgeOptions, bridgeOptions, type GatewayMode, ipvlanOptions, macvlanOptions } from './driver-options.ts';
import type { BridgeFamily, BridgeSpec, ParentSpec } from './net-calls.ts';
import type { NetworkRecord, NetworkSubnet } from './network-record.ts';
import { storedSubnet } from './network-registry.ts';

export function optionsOfBridge(record: Pick<NetworkRecord, 'options' | 'internal' | 'predefined'>): BridgeOptions {
  return bridgeOptions(record.options, { internal: record.internal, defaultBridge: record.predefined });
}

export function bridgeSpecOf(record: NetworkRecord): BridgeSpec {
  const options = optionsOfBridge(record);
  const v4 = familyOf(record.v4, options, options.gatewayMode4, options.hostAddress4);
  return {
    networkId: record.id,
    networkName: record.name,
    bridge: record.bridge,
    own: record.ownBridge,
    mtu: options.mtu,
    v4: v4 !== null && options.inhibitIPv4 ? { ...v4, gateway: '' } : v4,
    v6: familyOf(record.v6, options, options.gatewayMode6, options.hostAddress6),
    internal: record.internal,
    icc: options.icc,
    trustedInterfaces: options.trustedInterfaces,
  };
}

function familyOf(
  subnet: NetworkSubnet | null,
  { masquerade }: BridgeOptions,
  gatewayMode: GatewayMode,
  hostAddress: string,
): BridgeFamily | null {
  if (subnet === null) return null;
  const gateway = gatewayMode === 'isolated' ? '' : subnet.gateway;
  return { subnet: subnet.subnet, gateway, prefix: storedSubnet(subnet.subnet).prefix, masquerade, hostAddress, gatewayMode };
}

/** `parent` '' with a given network: the worker makes an isolated one. */
export function parentSpecOf(record: NetworkRecord): ParentSpec {
  const driver = record.driver === 'ipvlan' ? 'ipvlan' : 'macvlan';
  const { parent } = driver === 'ipvlan' ? ipvlanOptions(record.options) : macvlanOptions(record.options);
  return { networkId: record.id, driver, parent, internal: record.internal };
}

/** Internal, or of a driver that lies on an isolated device of its own: no gateway leads out. */
export function leadsOut(record: NetworkRecord): boolean {
  if (record.internal) return false;
  return record.driver === 'bridge' || parentSpecOf(record).parent !== '';
}
