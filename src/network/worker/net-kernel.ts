/** The net worker's work: every call of `NetCalls`, carried out on the kernel. The thread around it (`net-worker.ts`) sees to it that one runs at a time. */
import { readdirSync } from 'node:fs';
import { EngineError, errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { listLinks } from '../../linux/netlink/links.ts';
import { forgetHomeNamespace } from '../../linux/network-namespace.ts';
import { DnsServer } from '../dns/dns-server.ts';
import { openFirewall } from '../firewall/firewall.ts';
import type { BridgeSpec, NetCalls, NetFacts, NetNotice, NetSettings } from '../net-calls.ts';
import { PortTable } from '../ports/port-table.ts';
import { allOrNothing, attempt } from './all-or-nothing.ts';
import { ensureBridgeLink, removeBridgeLink } from './bridges.ts';
import { addEndpoint, removeEndpoint } from './change-endpoints.ts';
import { changePorts } from './change-ports.ts';
import { createSandbox } from './create-sandbox.ts';
import { openFormerFlows } from './former-flows.ts';
import { openHostNetwork, ownerOfLink } from './host-network.ts';
import { listHostSubnets } from './host-subnets.ts';
import { lendDevices } from './lent-devices.ts';
import { openNamespacePool } from './namespace-pool.ts';
import { knownSandbox, type NetParts, resultOf, type Sandbox } from './net-parts.ts';
import { openParents } from './parents.ts';
import { removeSandbox } from './remove-sandbox.ts';
import { restore } from './restore.ts';
import { type RouteWatch, watchRoutes } from './route-watch.ts';
import { mend, survey } from './survey.ts';
import { openUsedLinks } from './used-links.ts';

export interface NetKernel {
  readonly calls: NetCalls;
  /** One piece of what can wait. False: nothing is left. */
  idle(): boolean;
}

export function createNetKernel(tell: (notice: NetNotice) => void): NetKernel {
  const log = noticeLogger(tell);
  let open: { readonly parts: NetParts; readonly watch: RouteWatch } | null = null;
  let canRefill = true;

  function parts(): NetParts {
    if (open === null) throw new EngineError('unavailable', 'the net worker is not open');
    return open.parts;
  }

  const calls: NetCalls = {
    async open(settings) {
      if (open !== null) throw new EngineError('system', 'the net worker is open already');
      open = openParts(settings, log, tell);
      return factsOf(open.parts);
    },
    hostSubnets: async () => listHostSubnets(parts().host),
    ensureBridge: (spec) => ensureBridge(parts(), spec),
    removeBridge: async (networkId) => removeBridge(parts(), networkId),
    ensureParent: async (spec) => parts().parents.ensure(spec),
    removeParent: async (networkId) => parts().parents.remove(networkId),
    async createSandbox(spec) {
      canRefill = true;
      return resultOf(parts(), await createSandbox(parts(), spec));
    },
    removeSandbox: async (id) => removeSandbox(parts(), id),
    async addEndpoint(id, endpoint, dns, gateways) {
      const sandbox = knownSandbox(parts(), id);
      await addEndpoint(parts(), sandbox, endpoint, dns, gateways);
      return resultOf(parts(), sandbox);
    },
    async removeEndpoint(id, endpointId, dns, gateways) {
      const sandbox = knownSandbox(parts(), id);
      await removeEndpoint(parts(), sandbox, endpointId, dns, gateways);
      return resultOf(parts(), sandbox);
    },
    async changePorts(id, add, remove) {
      const sandbox = knownSandbox(parts(), id);
      await changePorts(parts(), sandbox, add, remove);
      return resultOf(parts(), sandbox);
    },
    lendDevices: async (id, devices) => await lendDevices(parts(), knownSandbox(parts(), id), devices),
    setNames: async (endpointId, names) => parts().dns.setNames(endpointId, names),
    restore: (state) => restore(parts(), state),
    describe: async () => ({
      sandboxes: parts().sandboxes.size,
      links: listLinks(parts().host.route).flatMap(({ name, alias }) => (ownerOfLink(parts().host.settings, alias) ? [name] : [])),
      descriptors: readdirSync('/proc/self/fd').length,
    }),
    survey: async () => survey(parts()),
    mend: async () => mend(parts()),
    async close(keep) {
      if (open === null) return;
      const { parts: closing, watch } = open;
      open = null;
      watch.close();
      closeParts(closing, keep);
    },
  };

  return {
    calls,
    idle() {
      if (open === null) return false;
      if (open.parts.flows.step()) return true;
      if (!canRefill) return false;
      try {
        canRefill = open.parts.pool.refill();
      } catch (thrown) {
        canRefill = false;
        log.warn({ error: errorText(thrown) }, 'no network namespace could be made ahead');
      }
      return canRefill;
    },
  };
}

function openParts(settings: NetSettings, log: Logger, tell: (notice: NetNotice) => void): { parts: NetParts; watch: RouteWatch } {
  const host = openHostNetwork(settings, log);
  const bridges = new Map<string, BridgeSpec>();
  const sandboxes = new Map<string, Sandbox>();
  const parts: NetParts = {
    host,
    pool: openNamespacePool(host),
    used: openUsedLinks(host),
    parents: openParents(host),
    flows: openFormerFlows(host),
    firewall: openFirewall(settings, log),
    ports: new PortTable({ settings, ipv6: host.ipv6, nameOf: (id) => sandboxes.get(id)?.name ?? id.slice(0, 12), log }),
    dns: new DnsServer({ logger: log, resolvConf: settings.resolvConf }),
    bridges,
    sandboxes,
  };
  return { parts, watch: watchRoutes(host, () => bridges.values(), tell) };
}

function factsOf({ host, firewall }: NetParts): NetFacts {
  const { bridge, macvlan, ipvlan, vlan } = host.drivers;
  return { drivers: { bridge, macvlan, ipvlan, vlan }, ipv6: host.ipv6, ...firewall.facts() };
}

async function ensureBridge(parts: NetParts, spec: BridgeSpec): Promise<void> {
  const before = parts.bridges.get(spec.networkId);
  await allOrNothing(parts.host.log, (undo) => {
    ensureBridgeLink(parts.host, spec);
    if (!before) undo('deleting a bridge', () => removeBridgeLink(parts.host, spec));
    parts.firewall.addBridge(spec);
    parts.bridges.set(spec.networkId, spec);
  });
}

function removeBridge(parts: NetParts, networkId: string): void {
  const spec = parts.bridges.get(networkId);
  if (!spec) return;
  removeBridgeLink(parts.host, spec);
  parts.firewall.removeBridge(spec);
  parts.bridges.delete(networkId);
}

/** `keep`: containers run on, with what is in the kernel and what their monitors hold. */
function closeParts(parts: NetParts, keep: boolean): void {
  const { log } = parts.host;
  const closing = (what: string, step: () => void): void => attempt(log, what, step);
  if (!keep) {
    for (const id of [...parts.sandboxes.keys()]) closing('removing the network of a container', () => removeSandbox(parts, id));
    for (const id of [...parts.bridges.keys()]) closing('removing a bridge', () => removeBridge(parts, id));
    closing('removing parent interfaces', () => parts.parents.removeAll());
  }
  closing('deleting flows', () => parts.flows.finish());
  closing('closing prepared namespaces', () => parts.pool.close());
  closing('closing DNS', () => parts.dns.close());
  closing('closing ports', () => parts.ports.close());
  closing('closing the firewall', () => parts.firewall.close(keep));
  closing('deleting used interfaces', () => parts.used.sweep());
  for (const { fd } of parts.sandboxes.values()) closing('closing a network namespace', () => closeDescriptor(fd));
  parts.used.close();
  parts.host.close();
  forgetHomeNamespace();
}

function noticeLogger(tell: (notice: NetNotice) => void): Logger {
  const at =
    (level: 'info' | 'warn' | 'error') =>
    (fields: Readonly<Record<string, unknown>>, message: string): void =>
      tell({ kind: 'log', level, message, fields });
  return { debug() {}, info: at('info'), warn: at('warn'), error: at('error') };
}
