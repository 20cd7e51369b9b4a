/** A request for a network, turned into what its record will say: everything but its subnets and its id. Pure; Docker's texts where it has one. */
import { EngineError, invalid, notFound, notImplemented } from '../base/errors.ts';
import { bridgeOptions, commonOptions, ipvlanOptions, macvlanOptions, type OptionTexts } from './driver-options.ts';
import { checkIpamConfig, type IpamWishes } from './ipam-config.ts';
import type { NetworkRecord } from './network-record.ts';
import type { NetworkSettings } from './network-settings.ts';
import type { NetworkCreateRequest } from './networks.ts';

export type NetworkPlan = Pick<
  NetworkRecord,
  'name' | 'driver' | 'internal' | 'attachable' | 'configOnly' | 'configFrom' | 'enableIPv4' | 'enableIPv6' | 'ipam' | 'options' | 'labels'
> & { readonly wishes: IpamWishes };

const predefinedNames = new Set(['bridge', 'host', 'none', 'default']);
const swarmDrivers = new Set(['overlay']);

export function planNetwork(
  request: NetworkCreateRequest,
  settings: NetworkSettings,
  findTemplate: (name: string) => NetworkRecord | null,
): NetworkPlan {
  checkName(request.name);
  refuseSwarm(request);
  if (request.configOnly) return configOnlyPlan(request);
  const driver = driverOf(request.driver === '' ? 'bridge' : request.driver);
  const own = request.configFrom === null ? ownConfiguration(request) : templateConfiguration(request, findTemplate);
  const options = { ...settings.networkOptions[driver], ...own.options };
  checkOptions(driver, options, request.internal);
  const common = commonOptions(options);
  const enableIPv4 = common.enableIPv4 ?? own.enableIPv4 ?? true;
  const enableIPv6 = common.enableIPv6 ?? own.enableIPv6 ?? false;
  if (!enableIPv4 && !enableIPv6 && own.ipam.driver !== 'null') throw invalid('IPv4 or IPv6 must be enabled');
  return {
    name: request.name,
    driver,
    internal: request.internal,
    attachable: request.attachable,
    configOnly: false,
    configFrom: request.configFrom ?? '',
    enableIPv4,
    enableIPv6,
    ipam: own.ipam,
    options,
    labels: request.labels,
    wishes: wishesOf(driver, own.ipam, enableIPv4, enableIPv6),
  };
}

function checkName(name: string): void {
  if (predefinedNames.has(name)) throw new EngineError('forbidden', `operation is not permitted on predefined ${name} network`);
  // It becomes a DNS suffix, part of URLs and of `container:`-like references.
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name) || name.length > 255) {
    const shown = name.trim() === '' ? 'name is empty' : `${JSON.stringify(name)}, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 255 at most`;
    throw invalid(`invalid network name: ${shown}`);
  }
}

function refuseSwarm({ scope, ingress, driver }: NetworkCreateRequest): void {
  const why = 'which needs swarm mode, and Gantry has none';
  if (ingress) throw invalid(`cannot create an ingress network, ${why}`);
  if (scope !== '' && scope !== 'local')
    throw invalid(`cannot create a network of scope ${JSON.stringify(scope)}, ${why}: only "local" is possible`);
  if (swarmDrivers.has(driver)) throw notImplemented(`cannot create a network with the driver ${driver}, ${why}`);
}

function driverOf(driver: string): 'bridge' | 'macvlan' | 'ipvlan' {
  switch (driver) {
    case 'bridge':
    case 'macvlan':
    case 'ipvlan':
      return driver;
    case 'host':
    case 'null':
      throw new EngineError('forbidden', `only one instance of "${driver}" network is allowed`);
    default:
      throw notFound(`could not find plugin ${driver} in v1 plugin registry: plugin not found. The drivers are bridge, macvlan and ipvlan`);
  }
}

interface Configuration {
  readonly ipam: NetworkRecord['ipam'];
  readonly options: OptionTexts;
  readonly enableIPv4: boolean | null;
  readonly enableIPv6: boolean | null;
}

function ownConfiguration({ ipam, options, enableIPv4, enableIPv6 }: NetworkCreateRequest): Configuration {
  return { ipam: { ...ipam, driver: ipamDriver(ipam.driver) }, options, enableIPv4, enableIPv6 };
}

function templateConfiguration(request: NetworkCreateRequest, findTemplate: (name: string) => NetworkRecord | null): Configuration {
  const { ipam, options, configFrom } = request;
  const ownIpam = ipam.config.length > 0 || Object.keys(ipam.options).length > 0 || !['', 'default'].includes(ipam.driver);
  if (ownIpam || request.enableIPv6 === true || Object.keys(request.labels).length > 0)
    throw new EngineError('forbidden', 'user specified configurations are not supported if the network depends on a configuration network');
  if (Object.keys(options).length > 0)
    throw new EngineError('forbidden', 'network driver options are not supported if the network depends on a configuration network');
  const template = findTemplate(configFrom ?? '');
  if (template === null) throw invalid(`configuration network ${JSON.stringify(configFrom)} not found`);
  if (!template.configOnly)
    throw invalid(`network ${template.name} is no configuration network: --config-from needs one that was created with --config-only`);
  return { ipam: template.ipam, options: template.options, enableIPv4: template.enableIPv4, enableIPv6: template.enableIPv6 };
}

/** Its options are checked by the driver of the network that uses it. */
function configOnlyPlan(request: NetworkCreateRequest): NetworkPlan {
  if (request.configFrom !== null)
    throw new EngineError('forbidden', 'a configuration network cannot depend on another configuration network');
  if (request.internal || request.attachable)
    throw new EngineError(
      'forbidden',
      'configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.',
    );
  const { ipam, options } = ownConfiguration(request);
  const common = commonOptions(options);
  const enableIPv4 = common.enableIPv4 ?? request.enableIPv4 ?? true;
  const enableIPv6 = common.enableIPv6 ?? request.enableIPv6 ?? false;
  return {
    name: request.name,
    driver: 'null',
    internal: false,
    attachable: false,
    configOnly: true,
    configFrom: '',
    enableIPv4,
    enableIPv6,
    ipam,
    options,
    labels: request.labels,
    wishes: wishesOf('null', ipam, enableIPv4, enableIPv6),
  };
}

function ipamDriver(driver: string): string {
  if (driver === '' || driver === 'default') return 'default';
  if (driver === 'null') return 'null';
  throw notFound(`could not find plugin ${driver} in v1 plugin registry: plugin not found. The IPAM drivers are default and null`);
}

function wishesOf(driver: string, ipam: NetworkRecord['ipam'], ipv4: boolean, ipv6: boolean): IpamWishes {
  if (ipam.driver === 'null') {
    if (ipam.config.some(({ Subnet = '' }) => Subnet !== '')) throw invalid('the IPAM driver null gives no addresses: leave --subnet out');
    return { v4: null, v6: null };
  }
  const unknown = Object.keys(ipam.options ?? {});
  if (unknown.length > 0) throw invalid(`unknown option of the IPAM driver default: ${unknown.join(', ')}. It has none`);
  return checkIpamConfig(ipam.config, { driver, ipv4, ipv6 });
}

function checkOptions(driver: 'bridge' | 'macvlan' | 'ipvlan', options: OptionTexts, internal: boolean): void {
  if (driver === 'bridge') bridgeOptions(options, { internal, defaultBridge: false });
  else if (driver === 'macvlan') macvlanOptions(options);
  else ipvlanOptions(options);
}
