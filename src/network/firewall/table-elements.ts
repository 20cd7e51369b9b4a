/** Which elements of our sets a bridge, an endpoint and a published port need. Pure. */
import { ipToBytes } from '../../base/ip-bytes.ts';
import { concatenated, type SetElement } from '../../linux/nftables/batch.ts';
import { interfaceName, NF_ACCEPT, NF_DROP, NFT_GOTO, port, protocol, type Verdict } from '../../linux/nftables/expressions.ts';
import type { BridgeFamily, BridgeSpec, PortResult } from '../net-calls.ts';
import type { SetName } from './table.ts';

export interface TableElement extends SetElement {
  readonly set: SetName;
}

export interface EndpointAddresses {
  readonly bridge: string;
  /** '' or null: none. */
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

export interface ElementChoices {
  readonly ipv6: boolean;
  /** A foreign forward chain drops: our packets are marked for it. */
  readonly marking: boolean;
}

type Version = 4 | 6;

export function elementsOfBridge(spec: BridgeSpec, { ipv6, marking }: ElementChoices): TableElement[] {
  const name = interfaceName(spec.bridge);
  const pair = concatenated(name, name);
  const elements: TableElement[] = [member('bridges', name), member('hairpin', pair)];
  if (marking) elements.push(member('marked', name));
  if (spec.icc) elements.push(decision('pairs', pair, accepted));
  if (spec.internal) return [...elements, member('internal', name)];
  for (const trusted of spec.trustedInterfaces) {
    elements.push(decision('pairs', concatenated(interfaceName(trusted), name), { code: NFT_GOTO, chain: 'opened' }));
  }
  elements.push(...elementsOfFamily(name, 4, spec.v4));
  if (ipv6) elements.push(...elementsOfFamily(name, 6, spec.v6));
  return elements;
}

export function elementsOfEndpoint({ ipv4, ipv6 }: EndpointAddresses, choices: ElementChoices): TableElement[] {
  const elements: TableElement[] = [];
  if (ipv4) elements.push(member('self4', concatenated(ipToBytes(ipv4), ipToBytes(ipv4))));
  if (ipv6 && choices.ipv6) elements.push(member('self6', concatenated(ipToBytes(ipv6), ipToBytes(ipv6))));
  return elements;
}

/** `bridge`: that of the endpoint it leads to; null when we do not know it (then as gateway mode `nat`). */
export function elementsOfPort(result: PortResult, bridge: BridgeSpec | null, choices: ElementChoices): TableElement[] {
  const target = ipToBytes(result.targetIp);
  const host = result.hostIp === '' ? null : ipToBytes(result.hostIp);
  // Between families only the proxy can translate.
  if (result.mode === 'proxy' || (host !== null && host.length !== target.length)) return [];
  const version: Version = target.length === 4 ? 4 : 6;
  if (version === 6 && !choices.ipv6) return [];
  const mode = (version === 4 ? bridge?.v4 : bridge?.v6)?.gatewayMode ?? 'nat';
  const transport = protocol(result.protocol);
  const containerPort = port(result.containerPort);
  const elements: TableElement[] = [];
  if (mode === 'routed' || (bridge?.trustedInterfaces.length ?? 0) > 0) {
    elements.push(member(`opened${version}`, concatenated(target, transport, containerPort)));
  }
  if (mode === 'routed') return elements;
  const data = concatenated(target, containerPort);
  const hostPort = port(result.hostPort);
  if (host === null || host.every((byte) => byte === 0)) {
    elements.push({ set: `published${version}any`, key: concatenated(transport, hostPort), data });
  } else {
    elements.push({ set: `published${version}`, key: concatenated(host, transport, hostPort), data });
  }
  return elements;
}

const accepted: Verdict = { code: NF_ACCEPT, chain: '' };
const ingressVerdicts: Readonly<Record<BridgeFamily['gatewayMode'], Verdict>> = {
  nat: { code: NF_DROP, chain: '' },
  isolated: { code: NF_DROP, chain: '' },
  'nat-unprotected': { code: NFT_GOTO, chain: 'unprotected' },
  routed: { code: NFT_GOTO, chain: 'routed' },
};

/** A network without this family is closed to it: its containers may still have link-local addresses. */
function elementsOfFamily(name: Buffer, version: Version, family: BridgeFamily | null): TableElement[] {
  const elements = [decision(`ingress${version}`, name, ingressVerdicts[family?.gatewayMode ?? 'nat'])];
  if (!family?.masquerade || family.gatewayMode === 'routed' || family.gatewayMode === 'isolated') return elements;
  if (family.hostAddress === '') elements.push(member(`masquerade${version}`, name));
  else elements.push({ set: `source${version}`, key: name, data: ipToBytes(family.hostAddress) });
  return elements;
}

function member(set: SetName, key: Buffer): TableElement {
  return { set, key, data: null };
}

function decision(set: SetName, key: Buffer, verdict: Verdict): TableElement {
  return { set, key, data: verdict };
}
