/**
 * The options of a network (`-o key=value`), read into what they mean for each driver. Pure.
 *
 * A name under `com.docker.network.` or `gantry.` that is not known here is refused: it would be ignored silently. Any other name is a person's own note
 * and kept, as in Docker. Of macvlan and ipvlan the short names (`parent`) are known too.
 */
import { invalid } from '../base/errors.ts';
import { type Family, parseAddress } from './ip-address.ts';
import type { BridgeFamily } from './net-calls.ts';

export type OptionTexts = Readonly<Record<string, string>>;
export type GatewayMode = BridgeFamily['gatewayMode'];

/** What every driver knows. */
export interface CommonOptions {
  readonly mtu: number;
  /** Interfaces inside are called by it and a number. */
  readonly interfacePrefix: string;
  readonly enableIPv4: boolean | null;
  readonly enableIPv6: boolean | null;
}

export interface BridgeOptions extends CommonOptions {
  /** '' : made from the network's id. */
  readonly bridge: string;
  readonly masquerade: boolean;
  readonly icc: boolean;
  /** Where ports are published that name no address; null: the daemon's choice, '': everywhere. */
  readonly publishAddress: string | null;
  readonly publishMode: 'nat' | 'proxy' | null;
  readonly gatewayMode4: GatewayMode;
  readonly gatewayMode6: GatewayMode;
  readonly inhibitIPv4: boolean;
  readonly trustedInterfaces: readonly string[];
  readonly hostAddress4: string;
  readonly hostAddress6: string;
}

export interface MacvlanOptions extends CommonOptions {
  readonly parent: string;
  readonly mode: 'bridge' | 'private' | 'vepa' | 'passthru';
}

export interface IpvlanOptions extends CommonOptions {
  readonly parent: string;
  readonly mode: 'l2' | 'l3' | 'l3s';
  readonly flag: 'bridge' | 'private' | 'vepa';
}

const docker = 'com.docker.network.';
const commonNames = ['driver.mtu', 'container_iface_prefix', 'enable_ipv4', 'enable_ipv6'].map((name) => docker + name);
const bridgeNames = [
  ...[
    'name',
    'enable_ip_masquerade',
    'enable_icc',
    'host_binding_ipv4',
    'gateway_mode_ipv4',
    'gateway_mode_ipv6',
    'inhibit_ipv4',
    'default_bridge',
    'trusted_host_interfaces',
  ].map((name) => `${docker}bridge.${name}`),
  `${docker}host_ipv4`,
  `${docker}host_ipv6`,
  'gantry.publish-mode',
];
const gatewayModes = ['nat', 'nat-unprotected', 'routed', 'isolated'] as const;

/** `defaultBridge`: the predefined network, which says so in its options. */
export function bridgeOptions(
  texts: OptionTexts,
  { internal, defaultBridge }: { readonly internal: boolean; readonly defaultBridge: boolean },
): BridgeOptions {
  refuseUnknown('bridge', texts, [...commonNames, ...bridgeNames]);
  const name = (key: string) => `${docker}bridge.${key}`;
  if (switchOf(texts, name('default_bridge'), defaultBridge) !== defaultBridge)
    throw badValue(texts, name('default_bridge'), 'only the predefined network "bridge" is the default bridge');
  const modeOf = (key: string) => {
    const mode = oneOf(texts, name(key), gatewayModes, 'nat');
    if (mode === 'isolated' && !internal)
      throw badValue(texts, name(key), 'gateway mode "isolated" can only be used for an internal network');
    return mode;
  };
  return {
    ...commonOptions(texts),
    bridge: deviceName(texts, name('name')),
    masquerade: switchOf(texts, name('enable_ip_masquerade'), true),
    icc: switchOf(texts, name('enable_icc'), true),
    publishAddress: publishAddress(texts, name('host_binding_ipv4')),
    publishMode: texts['gantry.publish-mode'] === undefined ? null : oneOf(texts, 'gantry.publish-mode', ['nat', 'proxy'] as const, 'nat'),
    gatewayMode4: modeOf('gateway_mode_ipv4'),
    gatewayMode6: modeOf('gateway_mode_ipv6'),
    inhibitIPv4: switchOf(texts, name('inhibit_ipv4'), false),
    trustedInterfaces: listOf(texts, name('trusted_host_interfaces')),
    hostAddress4: hostAddress(texts, `${docker}host_ipv4`, 4),
    hostAddress6: hostAddress(texts, `${docker}host_ipv6`, 6),
  };
}

export function macvlanOptions(texts: OptionTexts): MacvlanOptions {
  refuseUnknown('macvlan', texts, [...commonNames, 'parent', 'macvlan_mode']);
  return {
    ...commonOptions(texts),
    parent: deviceName(texts, 'parent'),
    mode: oneOf(texts, 'macvlan_mode', ['bridge', 'private', 'vepa', 'passthru'] as const, 'bridge'),
  };
}

export function ipvlanOptions(texts: OptionTexts): IpvlanOptions {
  refuseUnknown('ipvlan', texts, [...commonNames, 'parent', 'ipvlan_mode', 'ipvlan_flag']);
  return {
    ...commonOptions(texts),
    parent: deviceName(texts, 'parent'),
    mode: oneOf(texts, 'ipvlan_mode', ['l2', 'l3', 'l3s'] as const, 'l2'),
    flag: oneOf(texts, 'ipvlan_flag', ['bridge', 'private', 'vepa'] as const, 'bridge'),
  };
}

export function commonOptions(texts: OptionTexts): CommonOptions {
  const switchOrNull = (key: string) => (texts[key] === undefined ? null : switchOf(texts, key, true));
  return {
    mtu: mtuOf(texts, `${docker}driver.mtu`),
    interfacePrefix: interfacePrefix(texts, `${docker}container_iface_prefix`),
    enableIPv4: switchOrNull(`${docker}enable_ipv4`),
    enableIPv6: switchOrNull(`${docker}enable_ipv6`),
  };
}

function refuseUnknown(driver: string, texts: OptionTexts, known: readonly string[]): void {
  const unknown = Object.keys(texts).find((key) => (key.startsWith(docker) || key.startsWith('gantry.')) && !known.includes(key));
  if (unknown !== undefined)
    throw invalid(`unknown option ${JSON.stringify(unknown)} of the driver ${driver}. It knows ${known.join(', ')}`);
}

function badValue(texts: OptionTexts, key: string, why: string): Error {
  return invalid(`invalid value for the network option ${key}: ${JSON.stringify(texts[key] ?? '')}: ${why}`);
}

/** An option without a value (`-o com.docker.network.bridge.enable_icc`) is on. */
function switchOf(texts: OptionTexts, key: string, otherwise: boolean): boolean {
  const text = texts[key]?.toLowerCase();
  if (text === undefined) return otherwise;
  if (['true', '1', 't', ''].includes(text)) return true;
  if (['false', '0', 'f'].includes(text)) return false;
  throw badValue(texts, key, 'it is neither true nor false');
}

function oneOf<T extends string>(texts: OptionTexts, key: string, allowed: readonly T[], otherwise: T): T {
  const text = texts[key] ?? '';
  if (text === '') return otherwise;
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw badValue(texts, key, `one of ${allowed.join(', ')} is needed`);
  return found;
}

function mtuOf(texts: OptionTexts, key: string): number {
  const text = texts[key] ?? '';
  if (text === '') return 1500;
  const mtu = Number(text);
  // IPv4 needs 68 bytes (RFC 791); a bridge takes at most 65535.
  if (!/^\d+$/.test(text) || mtu < 68 || mtu > 65_535) throw badValue(texts, key, 'a number from 68 to 65535 is needed');
  return mtu;
}

/** A device's name holds 15 bytes; the kernel refuses blanks, `/` and `:`. */
export function isDeviceName(text: string): boolean {
  return /^[^\s/:]{1,15}$/.test(text) && Buffer.byteLength(text) <= 15 && text !== '.' && text !== '..';
}

function deviceName(texts: OptionTexts, key: string): string {
  const text = texts[key] ?? '';
  if (text !== '' && !isDeviceName(text))
    throw badValue(texts, key, 'the name of a network device has 1 to 15 bytes, without blanks, / and :');
  return text;
}

/** Room for a number up to 9999 stays. */
function interfacePrefix(texts: OptionTexts, key: string): string {
  const text = texts[key] ?? '';
  if (text === '') return 'eth';
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,10}$/.test(text) || text === 'lo')
    throw badValue(texts, key, 'it begins with a letter and has at most 11 letters, digits, _ . or -');
  return text;
}

function publishAddress(texts: OptionTexts, key: string): string | null {
  const text = texts[key] ?? '';
  if (text === '') return null;
  const address = parseAddress(text);
  if (address === null) throw badValue(texts, key, 'it is no IP address');
  return address.value === 0n ? '' : text;
}

function hostAddress(texts: OptionTexts, key: string, family: Family): string {
  const text = texts[key] ?? '';
  if (text !== '' && parseAddress(text)?.family !== family) throw badValue(texts, key, `it is no IPv${family} address`);
  return text;
}

function listOf(texts: OptionTexts, key: string): readonly string[] {
  const names = (texts[key] ?? '').split(/[:,\s]+/).filter((name) => name !== '');
  const bad = names.find((name) => !isDeviceName(name));
  if (bad !== undefined) throw badValue(texts, key, `${JSON.stringify(bad)} is no name of a network device`);
  return names;
}
