/** What a chain does with a packet that no rule with a condition decides about. Pure. */
import { NF_ACCEPT, NF_DROP, NFT_GOTO, NFT_JUMP } from '../../linux/nftables/expressions.ts';
import type { RuleInfo } from '../../linux/nftables/ruleset.ts';

/** What a rule does with every packet. A rule that is nothing final, or only for some packets, has no effect: null. */
export interface RuleEffect {
  readonly kind: 'accept' | 'drop' | 'jump' | 'goto' | 'return';
  /** Of jump and goto. */
  readonly chain: string;
}

type RulesOf = (chain: string) => readonly (RuleEffect | null)[];

export function finalVerdict(base: string, policy: 'accept' | 'drop', rulesOf: RulesOf): 'accept' | 'drop' {
  const walk = (chain: string, above: readonly string[]): 'accept' | 'drop' | null => {
    // The kernel allows no loops; what changes between two dumps could look like one.
    if (above.includes(chain)) return null;
    for (const effect of rulesOf(chain)) {
      if (effect === null) continue;
      if (effect.kind === 'accept' || effect.kind === 'drop') return effect.kind;
      if (effect.kind === 'return') return null;
      const below = walk(effect.chain, [...above, chain]);
      if (below !== null || effect.kind === 'goto') return below;
    }
    return null;
  };
  return walk(base, []) ?? policy;
}

/** Expressions that only note something down. */
const harmless: readonly string[] = ['counter', 'log'];

export function effectOf({ expressions }: Pick<RuleInfo, 'expressions'>): RuleEffect | null {
  const first = expressions.find(({ name }) => !harmless.includes(name));
  if (!first) return null;
  if (first.name === 'reject' || (first.name === 'target' && first.target === 'REJECT')) return { kind: 'drop', chain: '' };
  if (first.verdict === null) return null;
  const { code, chain } = first.verdict;
  if (code === NF_ACCEPT) return { kind: 'accept', chain: '' };
  if (code === NF_DROP) return { kind: 'drop', chain: '' };
  if (code === NFT_JUMP) return { kind: 'jump', chain };
  if (code === NFT_GOTO) return { kind: 'goto', chain };
  return { kind: 'return', chain: '' };
}
