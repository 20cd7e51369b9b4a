/**
 * Host ends of veth pairs that are used up. Deleting one waits 15–50 ms for the kernel, so it is only taken out of service (down, off its bridge, into a
 * group), which nothing sees any more, and the kernel deletes it by itself when the namespace of the other end goes. What is still there a little
 * later, because something holds that namespace or the container runs on without this network, is deleted with its whole group.
 */
import { changeLink, deleteLinkGroup, readLink } from '../../linux/netlink/links.ts';
import type { HostNetwork } from './host-network.ts';

/** `gant`: of nobody else. Two daemons may share it, whatever is in it is dead. */
const usedGroup = 0x6761_6e74;
const lookAgainMs = 150;

export interface UsedLinks {
  /** A link that is gone already is fine. */
  retire(indexes: readonly number[]): void;
  /** Deletes now what is left. */
  sweep(): void;
  close(): void;
}

export function openUsedLinks(host: HostNetwork): UsedLinks {
  let timer: NodeJS.Timeout | null = null;
  let waiting = new Set<number>();

  function sweep(): void {
    if (timer) clearTimeout(timer);
    timer = null;
    const left = [...waiting].some((index) => readLink(host.route, index)?.group === usedGroup);
    waiting = new Set();
    if (!left) return;
    const [error] = host.route.requestAll([deleteLinkGroup(usedGroup)], 'delete used interfaces');
    if (error && error.errnoName !== 'ENODEV')
      host.log.warn({ error: error.message }, 'interfaces of former containers could not be deleted');
  }

  return {
    retire(indexes) {
      if (indexes.length === 0) return;
      const messages = indexes.map((index) => changeLink(index, { up: false, master: 0, group: usedGroup }));
      for (const [at, error] of host.route.requestAll(messages, 'take an interface out of service').entries()) {
        if (error && error.errnoName !== 'ENODEV') throw error;
        const index = indexes[at];
        if (!error && index !== undefined) waiting.add(index);
      }
      timer ??= setTimeout(sweep, lookAgainMs);
    },
    sweep,
    close() {
      if (timer) clearTimeout(timer);
      timer = null;
    },
  };
}
