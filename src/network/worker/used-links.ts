/**
 * Host ends of veth pairs that are used up. Deleting one waits 15–50 ms for the kernel, so it is only taken out of service (down, off its bridge, into a
 * group), which nothing sees any more. The kernel deletes it by itself when the namespace of the other end goes; what it leaves, because something holds
 * that namespace or the container runs on without this network, is deleted with its whole group.
 */
import { changeLink, deleteLinkGroup, readLink } from '../../linux/netlink/links.ts';
import type { HostNetwork } from './host-network.ts';

/** `gant`: of nobody else. Two daemons may share it, whatever is in it is dead. */
const usedGroup = 0x6761_6e74;
const shortPatienceMs = 100;
const longPatienceMs = 3000;

export interface UsedLinks {
  /** `namespaceGoes`: the kernel is about to delete it anyway. A link that is gone already is fine. */
  retire(indexes: readonly number[], namespaceGoes: boolean): void;
  /** Deletes now what is left. */
  sweep(): void;
  close(): void;
}

export function openUsedLinks(host: HostNetwork): UsedLinks {
  const retired = new Set<number>();
  let timer: NodeJS.Timeout | null = null;
  let dueAt = Number.POSITIVE_INFINITY;

  function sweep(): void {
    close();
    const left = [...retired].some((index) => readLink(host.route, index)?.group === usedGroup);
    retired.clear();
    if (!left) return;
    const [error] = host.route.requestAll([deleteLinkGroup(usedGroup)], 'delete used interfaces');
    if (error && error.errnoName !== 'ENODEV')
      host.log.warn({ error: error.message }, 'interfaces of former containers could not be deleted');
  }

  function sweepWithin(patienceMs: number): void {
    if (performance.now() + patienceMs >= dueAt) return;
    close();
    dueAt = performance.now() + patienceMs;
    timer = setTimeout(sweep, patienceMs);
  }

  function close(): void {
    if (timer) clearTimeout(timer);
    timer = null;
    dueAt = Number.POSITIVE_INFINITY;
  }

  return {
    retire(indexes, namespaceGoes) {
      if (indexes.length === 0) return;
      const messages = indexes.map((index) => changeLink(index, { up: false, master: 0, group: usedGroup }));
      for (const [at, error] of host.route.requestAll(messages, 'take an interface out of service').entries()) {
        if (error && error.errnoName !== 'ENODEV') throw error;
        const index = indexes[at];
        if (!error && index !== undefined) retired.add(index);
      }
      sweepWithin(namespaceGoes ? longPatienceMs : shortPatienceMs);
    },
    sweep,
    close,
  };
}
