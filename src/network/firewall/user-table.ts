/**
 * The administrator's table beside ours (Docker's DOCKER-USER): nobody owns it, we make it empty and never change what is in it. Its chain sees forwarded
 * packets before ours does; a drop there is final:
 *
 *     nft add rule inet gantry-user forward meta l4proto tcp ct original proto-dst 8080 ip saddr != 192.0.2.0/24 drop
 */
import type { NetlinkSocket } from '../../linux/netlink/netlink-socket.ts';
import { NftBatch } from '../../linux/nftables/batch.ts';
import { NFPROTO_INET } from '../../linux/nftables/expressions.ts';
import { listChains, listRules, listSets } from '../../linux/nftables/ruleset.ts';

export function userTableName(globalName: string): string {
  return `${globalName}-user`;
}

/** What is there already stays as it is. */
export function ensureUserTable(socket: NetlinkSocket, globalName: string): void {
  const name = userTableName(globalName);
  const present = chainsOf(socket, name);
  if (present.includes('forward')) return;
  const batch = new NftBatch(NFPROTO_INET, name)
    .addTable(0, '')
    .addChain({ name: 'forward', base: { type: 'filter', hook: 'forward', priority: -1 } });
  socket.sendBatch(batch.messages, `make the nft table inet ${name}`);
}

/** Only when nobody put anything into it. */
export function removeEmptyUserTable(socket: NetlinkSocket, globalName: string): void {
  const name = userTableName(globalName);
  const chains = chainsOf(socket, name);
  const isEmpty =
    chains.length === 1 &&
    chains[0] === 'forward' &&
    listRules(socket, { family: NFPROTO_INET, table: name, name: 'forward' }).length === 0 &&
    listSets(socket, NFPROTO_INET, name).length === 0;
  if (isEmpty) socket.sendBatch(new NftBatch(NFPROTO_INET, name).deleteTable().messages, `remove the nft table inet ${name}`);
}

function chainsOf(socket: NetlinkSocket, table: string): string[] {
  return listChains(socket)
    .filter((chain) => chain.family === NFPROTO_INET && chain.table === table)
    .map(({ name }) => name);
}
