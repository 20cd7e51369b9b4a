/**
 * `network create`: reserve name and subnets → make the bridge or parent → look whether another daemon took the same subnet at the same moment → store.
 * Whatever fails, nothing stays.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { EngineError, errorText, invalid, notImplemented } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import { overlaps, parseSubnet } from './ip-address.ts';
import { bridgeSpecOf, optionsOfBridge, parentSpecOf } from './kernel-specs.ts';
import type { HostSubnet } from './net-calls.ts';
import type { NetworkContext } from './network-context.ts';
import { type NetworkRecord, type NetworkSubnet, saveNetwork } from './network-record.ts';
import { storedSubnet } from './network-registry.ts';
import type { NetworkCreateRequest } from './networks.ts';
import { type NetworkPlan, planNetwork } from './new-network.ts';
import { nameserverWarning, planFamily, poolsFor, takenByHost, takenByNetworks } from './subnet-plan.ts';

/** Of two daemons that keep choosing the same one wins each round, so few are needed. */
const mostAttempts = 32;

export async function createNetwork(
  context: NetworkContext,
  request: NetworkCreateRequest,
): Promise<{ readonly id: string; readonly warning: string }> {
  const plan = planNetwork(request, context.settings, (name) => context.registry.find(name)?.record ?? null);
  context.registry.refuseTakenName(plan.name);
  refuseMissingDriver(context, plan);
  const id = randomBytes(32).toString('hex');
  for (let attempt = 1; ; attempt++) {
    const hostSubnets = plan.configOnly ? [] : await context.calls.hostSubnets();
    // No await from here until the registry has it: two creations at once see each other.
    const record = recordOf(context, plan, id, hostSubnets);
    const network = context.registry.add(record, 'creating');
    try {
      await makeInKernel(context, record);
      if (attempt < mostAttempts && (await lostToAnother(context, record))) {
        await removeFromKernel(context, record);
        context.registry.delete(id);
        continue;
      }
      failpoint('network.made');
      await store(context, record);
      failpoint('network.recorded');
    } catch (thrown) {
      context.registry.delete(id);
      throw thrown;
    }
    context.registry.setState(id, 'ready');
    context.publish('create', network);
    return { id, warning: warningsOf(plan, hostSubnets) };
  }
}

function refuseMissingDriver({ facts }: NetworkContext, { driver, enableIPv6, configOnly }: NetworkPlan): void {
  if ((driver === 'macvlan' || driver === 'ipvlan') && !facts.drivers[driver])
    throw notImplemented(`cannot create a network with the driver ${driver}: the kernel of this host does not have it`);
  if (enableIPv6 && !configOnly && !facts.ipv6)
    throw notImplemented('cannot create a network with IPv6: the kernel of this host does not have it');
}

function recordOf(context: NetworkContext, plan: NetworkPlan, id: string, hostSubnets: readonly HostSubnet[]): NetworkRecord {
  const { wishes, ...rest } = plan;
  const device = deviceOf(context, plan, id);
  const networks = takenByNetworks(context.registry);
  const host = takenByHost(hostSubnets, device.bridge);
  const family = (number: 4 | 6, enabled: boolean): NetworkSubnet | null => {
    const wish = number === 4 ? wishes.v4 : wishes.v6;
    if (!enabled || plan.ipam.driver === 'null' || (plan.configOnly && wish === null)) return null;
    return planFamily({
      family: number,
      wish,
      pools: poolsFor(context.settings, context.daemonId),
      networks: plan.configOnly ? [] : networks,
      host,
      mayShareHost: plan.driver !== 'bridge',
      needsGateway: !plan.configOnly && !isIsolated(plan, number),
    });
  };
  return {
    ...rest,
    id,
    createdAt: Date.now(),
    predefined: false,
    ...device,
    v4: family(4, plan.enableIPv4),
    v6: family(6, plan.enableIPv6),
  };
}

function isIsolated({ driver, options, internal }: NetworkPlan, family: 4 | 6): boolean {
  if (driver !== 'bridge') return false;
  const parsed = optionsOfBridge({ options, internal, predefined: false });
  return (family === 4 ? parsed.gatewayMode4 : parsed.gatewayMode6) === 'isolated';
}

function deviceOf(
  context: NetworkContext,
  { driver, options, internal, name }: NetworkPlan,
  id: string,
): { readonly bridge: string; readonly ownBridge: boolean } {
  if (driver !== 'bridge') {
    if (driver !== 'null') refuseSharedParent(context, options.parent ?? '', name);
    return { bridge: '', ownBridge: false };
  }
  const wanted = optionsOfBridge({ options, internal, predefined: false }).bridge;
  if (wanted === '') return { bridge: `br-${id.slice(0, 12)}`, ownBridge: true };
  const other = [...context.registry.every()].find(({ record }) => record.bridge === wanted);
  if (other !== undefined)
    throw new EngineError(
      'forbidden',
      `cannot create network ${name} (${wanted}): conflicts with network ${other.record.name}: networks have same bridge name`,
    );
  if (existsSync(`/sys/class/net/${wanted}`) && !existsSync(`/sys/class/net/${wanted}/bridge`))
    throw invalid(`cannot create network ${name}: the device ${wanted} exists and is no bridge`);
  return { bridge: wanted, ownBridge: !existsSync(`/sys/class/net/${wanted}/bridge`) };
}

function refuseSharedParent({ registry }: NetworkContext, parent: string, name: string): void {
  const other = [...registry.every()].find(
    ({ record }) => parent !== '' && (record.driver === 'macvlan' || record.driver === 'ipvlan') && record.options.parent === parent,
  );
  if (other !== undefined)
    throw new EngineError(
      'forbidden',
      `cannot create network ${name}: network ${other.record.name} is already using parent interface ${parent}`,
    );
}

async function makeInKernel({ calls }: NetworkContext, record: NetworkRecord): Promise<void> {
  if (record.driver === 'bridge') await calls.ensureBridge(bridgeSpecOf(record));
  else if (record.driver !== 'null' && record.driver !== 'host') await calls.ensureParent(parentSpecOf(record));
}

export async function removeFromKernel({ calls }: NetworkContext, record: NetworkRecord): Promise<void> {
  if (record.driver === 'bridge') await calls.removeBridge(record.id);
  else if (record.driver !== 'null' && record.driver !== 'host') await calls.removeParent(record.id);
}

/**
 * Two daemons that start a network at once choose the same free subnet. Both see it now, and the one whose device is younger gives way. A subnet that a person
 * named is kept.
 */
export async function lostToAnother({ calls, logger }: NetworkContext, record: NetworkRecord): Promise<boolean> {
  const chosen = [record.v4, record.v6]
    .filter((family) => family !== null && !family.named)
    .map((family) => storedSubnet(family?.subnet ?? ''));
  if (record.driver !== 'bridge' || chosen.length === 0) return false;
  const hostSubnets = await calls.hostSubnets();
  const own = hostSubnets.find(({ device }) => device === record.bridge)?.index ?? Number.POSITIVE_INFINITY;
  const rival = hostSubnets.find(({ subnet: text, ours, index, device }) => {
    const subnet = parseSubnet(text);
    if (ours || subnet === null || device === record.bridge || index === 0 || index >= own) return false;
    return chosen.some((mine) => overlaps(mine, subnet));
  });
  if (rival === undefined) return false;
  logger.info(
    { network: record.name, subnet: rival.subnet, device: rival.device },
    'another daemon took the same subnet at the same moment: choosing another',
  );
  return true;
}

async function store(context: NetworkContext, record: NetworkRecord): Promise<void> {
  try {
    await context.database.write('full', [saveNetwork(record)]);
  } catch (thrown) {
    await removeFromKernel(context, record).catch((error) =>
      context.logger.error(
        { network: record.name, error: errorText(error) },
        'a network that could not be stored stays in the kernel until the next start',
      ),
    );
    throw thrown;
  }
}

function warningsOf({ wishes, configOnly }: NetworkPlan, hostSubnets: readonly HostSubnet[]): string {
  if (configOnly) return '';
  const host = takenByHost(hostSubnets);
  return [wishes.v4, wishes.v6]
    .map((wish) => nameserverWarning(wish, host))
    .filter((warning) => warning !== '')
    .join('\n');
}
