/**
 * The host's own forward chains that drop. A drop in any base chain is final, whatever ours says, so traffic of containers to and from other machines does
 * not work while one of them ends in a drop: by its policy, or by a rule without a condition (firewalld's last one rejects everything). Rules with
 * conditions are the administrator's decisions and are left out of account.
 *
 * Three kinds of owner, since each can be changed only in its own way: nft, iptables over nft (it refuses tables with rules that it did not write), and
 * iptables of the old kind (invisible to nft).
 */

import type { NetlinkSocket } from '../../linux/netlink/netlink-socket.ts';
import { hooks } from '../../linux/nftables/batch.ts';
import { NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../linux/nftables/expressions.ts';
import { type ChainInfo, familyName, listChains, listRules } from '../../linux/nftables/ruleset.ts';
import { hasLegacyFilter, iptablesCommand, readIptablesRules } from './iptables-command.ts';
import { effectOf, finalVerdict } from './rule-effect.ts';

export interface ForwardChain {
  readonly kind: 'nft' | 'iptables-nft' | 'iptables-legacy';
  readonly family: number;
  readonly table: string;
  readonly name: string;
}

/** Base chains of the host at the forward hook, without our tables. */
export function forwardChains(
  socket: NetlinkSocket,
  ownTables: readonly string[],
): (ForwardChain & { readonly policy: 'accept' | 'drop' })[] {
  const families = [NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6];
  const found = listChains(socket)
    .filter(({ family, base, table }) => base?.hook === hooks.forward && families.includes(family) && !ownTables.includes(table))
    .map((chain) => ({ ...chain, kind: ownerOf(chain), policy: chain.base?.policy ?? 'accept' }));
  const legacy = ([NFPROTO_IPV4, NFPROTO_IPV6] as const)
    .filter((family) => hasLegacyFilter(family))
    .map((family) => ({ kind: 'iptables-legacy' as const, family, table: 'filter', name: 'FORWARD', policy: 'accept' as const }));
  return [...found, ...legacy];
}

export function droppingChains(socket: NetlinkSocket, ownTables: readonly string[]): ForwardChain[] {
  return forwardChains(socket, ownTables).filter((chain) =>
    chain.kind === 'iptables-legacy'
      ? dropsInLegacy(chain)
      : finalVerdict(chain.name, chain.policy, (name) => listRules(socket, { ...chain, name }).map(effectOf)) === 'drop',
  );
}

export function chainTitle(chain: ForwardChain): string {
  return chain.kind === 'iptables-legacy'
    ? `${chain.name} of ${familyName(chain.family)}tables-legacy`
    : `${chain.name} of the nft table ${familyName(chain.family)} ${chain.table}`;
}

function ownerOf({ family, table, name }: ChainInfo): 'nft' | 'iptables-nft' {
  const isIptables = table === 'filter' && name === 'FORWARD' && family !== NFPROTO_INET;
  return isIptables && iptablesCommand('nft', family) !== null ? 'iptables-nft' : 'nft';
}

function dropsInLegacy({ family }: ForwardChain): boolean {
  const { policies, rules } = readIptablesRules('legacy', family);
  return finalVerdict('FORWARD', policies.get('FORWARD') === 'DROP' ? 'drop' : 'accept', (chain) => rules.get(chain) ?? []) === 'drop';
}
