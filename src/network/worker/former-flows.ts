/**
 * Connection tracking entries that outlived their reason: of addresses that belong to nobody any more, of UDP ports whose publication changed (an entry
 * made before keeps its flow on the old way for as long as packets come). Deleting passes over the whole table, up to 50 ms on a busy host, so it is
 * done one at a time while nothing else is to do, but in any case before an address gets a new owner.
 */
import { errorText } from '../../base/errors.ts';
import { deleteFlowsOfAddress, deleteFlowsToPort } from '../../linux/netlink/conntrack.ts';
import type { PortResult } from '../net-calls.ts';
import type { HostNetwork } from './host-network.ts';

export interface FormerFlows {
  forgetAddresses(addresses: readonly string[]): void;
  /** Only what has no connection of its own: TCP flows end by themselves, or go on. */
  forgetPorts(ports: readonly PortResult[]): void;
  /** An address is about to get an owner. */
  settle(addresses: readonly string[]): void;
  /** One deletion. False: nothing is left to do. */
  step(): boolean;
  /** All that is left. */
  finish(): void;
}

export function openFormerFlows(host: HostNetwork): FormerFlows {
  const addresses = new Set<string>();
  const ports = new Map<string, PortResult>();
  /** Said once: without connection tracking there is nothing to delete either. */
  let broken = false;

  function attempt(work: () => void): void {
    if (broken) return;
    try {
      work();
    } catch (thrown) {
      broken = true;
      host.log.warn({ error: errorText(thrown) }, 'connection tracking entries of former containers cannot be deleted');
    }
  }

  function step(): boolean {
    const [address] = addresses;
    if (address !== undefined) {
      addresses.delete(address);
      attempt(() => deleteFlowsOfAddress(host.netfilter, address));
    } else {
      const [entry] = ports;
      if (entry === undefined) return false;
      const [key, port] = entry;
      ports.delete(key);
      attempt(() => deleteFlowsToPort(host.netfilter, port.hostIp.includes(':') ? 6 : 4, port.protocol, port.hostPort));
    }
    return addresses.size > 0 || ports.size > 0;
  }

  return {
    forgetAddresses(list) {
      for (const address of list) addresses.add(address);
    },
    forgetPorts(list) {
      for (const port of list) if (port.protocol === 'udp') ports.set(`${port.hostIp} ${port.hostPort}`, port);
    },
    settle(list) {
      for (const address of list) if (addresses.delete(address)) attempt(() => deleteFlowsOfAddress(host.netfilter, address));
    },
    step,
    finish() {
      while (step());
    },
  };
}
