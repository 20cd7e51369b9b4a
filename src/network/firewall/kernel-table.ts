/**
 * Our table in the kernel: made or taken over, filled, compared, removed.
 *
 * Where the kernel has it (6.9 and later) the table is owned by our socket and persists: no other process can change or flush it, and it outlives us; the
 * next daemon claims it. Owner without persist would take the table away with our death, so then it is an ordinary one, and `Firewall` watches it.
 */
import { conflict } from '../../base/errors.ts';
import { isErrno } from '../../linux/ffi.ts';
import type { NetlinkSocket } from '../../linux/netlink/netlink-socket.ts';
import { NftBatch, TABLE_OWNER, TABLE_PERSIST } from '../../linux/nftables/batch.ts';
import { NFPROTO_INET } from '../../linux/nftables/expressions.ts';
import { listElements, listTables, type TableInfo } from '../../linux/nftables/ruleset.ts';
import { type TableText, tableText, tableVersion } from './table.ts';
import type { TableElement } from './table-elements.ts';
import { bySet, type ElementChange } from './table-state.ts';

const protectedFlags = TABLE_OWNER | TABLE_PERSIST;

export interface KernelTable {
  /** Whether nobody else can flush it. */
  readonly isProtected: boolean;
  /** False: somebody removed it. */
  exists(): boolean;
  /** All or nothing. */
  change(change: ElementChange): void;
  elements(): TableElement[];
  /** Anew, with these elements, whatever was there. */
  rebuild(elements: readonly TableElement[]): void;
  remove(): void;
}

export interface KernelTableOptions {
  readonly name: string;
  readonly ipv6: boolean;
  readonly dnsOnly: boolean;
  /** False: as on a kernel that cannot protect it. */
  readonly protect: boolean;
}

/** Takes over a table of this name with its elements when it is of our version; else makes it. */
export function openKernelTable(socket: NetlinkSocket, { name, ipv6, dnsOnly, protect }: KernelTableOptions): KernelTable {
  const text = tableText(ipv6, dnsOnly);
  const comment = `gantry ${tableVersion}${ipv6 ? '' : ', IPv4 only'}`;
  const present = findTable(socket, name);
  if (present && present.owner !== 0) {
    throw conflict(
      `The nft table inet ${name} belongs to another running process (netlink port ${present.owner}). Is a daemon with the same data root still running?`,
    );
  }
  const flags = install(socket, { name, text, comment }, present, protect);

  return {
    isProtected: flags === protectedFlags,
    exists: () => findTable(socket, name) !== undefined,
    change: ({ remove, add }) => {
      const batch = new NftBatch(NFPROTO_INET, name);
      for (const [set, elements] of bySet(remove)) batch.deleteElements(set, elements);
      for (const [set, elements] of bySet(add)) batch.addElements(set, elements);
      socket.sendBatch(batch.messages, `change elements of the nft table inet ${name}`);
    },
    elements: () =>
      text.sets.flatMap(({ name: set }) => listElements(socket, NFPROTO_INET, name, set).map((element) => ({ ...element, set }))),
    rebuild: (elements) => {
      const batch = new NftBatch(NFPROTO_INET, name).addTable(flags, comment).deleteTable();
      addText(batch.addTable(flags, comment), text);
      for (const [set, some] of bySet(elements)) batch.addElements(set, some);
      socket.sendBatch(batch.messages, `make the nft table inet ${name}`);
    },
    remove: () => socket.sendBatch(new NftBatch(NFPROTO_INET, name).deleteTable().messages, `remove the nft table inet ${name}`),
  };
}

/** For a daemon without a firewall: what an earlier one left would go on rewriting. */
export function removeLeftTable(socket: NetlinkSocket, name: string): void {
  const present = findTable(socket, name);
  if (present && present.owner === 0) {
    const batch = new NftBatch(NFPROTO_INET, name).deleteTable();
    socket.sendBatch(batch.messages, `remove the nft table inet ${name}`);
  }
}

interface Installation {
  readonly name: string;
  readonly text: TableText;
  readonly comment: string;
}

/** Returns the flags that the kernel took. */
function install(socket: NetlinkSocket, installation: Installation, present: TableInfo | undefined, protect: boolean): number {
  if (protect) {
    try {
      sendText(socket, installation, present, protectedFlags);
      return protectedFlags;
    } catch (thrown) {
      // Unknown flags.
      if (!isErrno(thrown, 'EOPNOTSUPP', 'ENOTSUP', 'EINVAL')) throw thrown;
    }
  }
  sendText(socket, installation, present, 0);
  return 0;
}

/** In one step, so that what a former daemon published stays reachable: rules are exchanged, elements stay. */
function sendText(socket: NetlinkSocket, { name, text, comment }: Installation, present: TableInfo | undefined, flags: number): void {
  const isOurs = present?.comment === comment && (present.flags & TABLE_PERSIST) === (flags & TABLE_PERSIST);
  const batch = new NftBatch(NFPROTO_INET, name);
  if (present && !isOurs) batch.deleteTable();
  batch.addTable(flags, comment);
  if (isOurs) batch.deleteRules();
  addText(batch, text);
  socket.sendBatch(batch.messages, `make the nft table inet ${name}`);
}

function addText(batch: NftBatch, { sets, chains }: TableText): void {
  for (const set of sets) batch.addSet(set);
  for (const chain of chains) batch.addChain(chain);
  for (const { name, rules } of chains) for (const rule of rules) batch.appendRule(name, rule);
}

function findTable(socket: NetlinkSocket, name: string): TableInfo | undefined {
  return listTables(socket).find((table) => table.family === NFPROTO_INET && table.name === name);
}
