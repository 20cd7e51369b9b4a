/**
 * The one thing we change outside our own tables, unless the administrator forbids it: a rule at the head of each of the host's forward chains that drop,
 * which accepts packets by our mark. It is recognised by its comment, added once, and removed when the daemon takes its network away. Our own rules are
 * asked about such packets all the same.
 */

import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { NetlinkSocket } from '../../linux/netlink/netlink-socket.ts';
import { NftBatch, type RuleDefinition } from '../../linux/nftables/batch.ts';
import { accept, markIs } from '../../linux/nftables/expressions.ts';
import { familyName, listRules } from '../../linux/nftables/ruleset.ts';
import { chainTitle, type ForwardChain, forwardChains } from './forward-chains.ts';
import { iptablesCommand, runIptables } from './iptables-command.ts';
import { forwardMark } from './table.ts';

const markText = `0x${forwardMark.value.toString(16)}/0x${forwardMark.mask.toString(16)}`;

export interface ForwardJump {
  /** Null: our rule is there. Else why not. */
  allow(chain: ForwardChain): string | null;
  removeAll(): void;
}

export function forwardJump(socket: NetlinkSocket, globalName: string, ownTables: readonly string[], log: Logger): ForwardJump {
  const comment = `${globalName}: its networks`;
  const rule: RuleDefinition = { statements: [markIs(forwardMark.value, forwardMark.mask), accept], comment };
  const parameters = ['FORWARD', '-m', 'mark', '--mark', markText, '-m', 'comment', '--comment', comment, '-j', 'ACCEPT'];

  const ours = (chain: ForwardChain): bigint[] =>
    listRules(socket, chain)
      .filter((present) => present.comment === comment)
      .map(({ handle }) => handle);

  const allow = (chain: ForwardChain): string | null => {
    if (chain.kind === 'nft') {
      if (ours(chain).length > 0) return null;
      try {
        socket.sendBatch(
          new NftBatch(chain.family, chain.table).insertRule(chain.name, rule).messages,
          `add our rule to ${chainTitle(chain)}`,
        );
      } catch (thrown) {
        return errorText(thrown);
      }
    } else {
      const flavour = flavourOf(chain);
      if (runIptables(flavour, chain.family, ['-t', 'filter', '-C', ...parameters]).ok) return null;
      const added = runIptables(flavour, chain.family, ['-t', 'filter', '-I', ...parameters]);
      if (!added.ok) return added.output;
    }
    log.info(
      { chain: chainTitle(chain), rule: commandFor(chain, comment) },
      'the host drops forwarded packets: added one rule that accepts ours',
    );
    return null;
  };

  const remove = (chain: ForwardChain): void => {
    if (chain.kind === 'nft') {
      const batch = new NftBatch(chain.family, chain.table);
      for (const handle of ours(chain)) batch.deleteRule(chain.name, handle);
      socket.sendBatch(batch.messages, `remove our rule from ${chainTitle(chain)}`);
    } else {
      // Twice only when somebody restored a saved copy beside ours.
      while (runIptables(flavourOf(chain), chain.family, ['-t', 'filter', '-D', ...parameters]).ok);
    }
  };

  const removeAll = (): void => {
    for (const chain of forwardChains(socket, ownTables)) {
      try {
        remove(chain);
      } catch (thrown) {
        log.warn({ chain: chainTitle(chain), error: errorText(thrown) }, 'cannot remove our rule from a forward chain of the host');
      }
    }
  };

  return { allow, removeAll };
}

/** For an administrator, when we may not or cannot add the rule ourselves. */
export function explainDrop(chain: ForwardChain, globalName: string, why: string | null): string {
  const reason = why === null ? '' : ` The rule could not be added (${why}).`;
  return (
    `The host's forward chain ${chainTitle(chain)} drops what nothing accepts: containers reach no other machine, and other machines reach no published port.` +
    `${reason} ${adviceFor(chain, `${globalName}: its networks`)}`
  );
}

function adviceFor(chain: ForwardChain, comment: string): string {
  if (chain.kind === 'nft' && chain.table === 'firewalld') {
    return "Put the networks' bridges into a zone that accepts: firewall-cmd --permanent --zone=trusted --add-interface=BRIDGE && firewall-cmd --reload";
  }
  return `Accept packets that carry our mark: ${commandFor(chain, comment)}`;
}

function commandFor(chain: ForwardChain, comment: string): string {
  if (chain.kind === 'nft') {
    const { value, mask } = forwardMark;
    const where = `${familyName(chain.family)} ${chain.table} ${chain.name}`;
    return `nft insert rule ${where} meta mark and 0x${mask.toString(16)} == 0x${value.toString(16)} accept comment '"${comment}"'`;
  }
  const command = iptablesCommand(flavourOf(chain), chain.family) ?? 'iptables';
  return `${command} -I FORWARD -m mark --mark ${markText} -m comment --comment "${comment}" -j ACCEPT`;
}

function flavourOf(chain: ForwardChain): 'nft' | 'legacy' {
  return chain.kind === 'iptables-legacy' ? 'legacy' : 'nft';
}
