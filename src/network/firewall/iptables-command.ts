/**
 * The iptables programs, for hosts whose forward chain is iptables' own: the only way to put a rule there. Run at the daemon's start and end and when the
 * host's rules changed, never for a container.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { NFPROTO_IPV4 } from '../../linux/nftables/expressions.ts';
import type { RuleEffect } from './rule-effect.ts';

export type IptablesFlavour = 'nft' | 'legacy';

const timeoutMs = 10_000;
const found = new Map<string, string | null>();

/** Name of the program for this flavour and family; null: the host has none. */
export function iptablesCommand(flavour: IptablesFlavour, family: number): string | null {
  const base = family === NFPROTO_IPV4 ? 'iptables' : 'ip6tables';
  const key = `${base}-${flavour}`;
  const known = found.get(key);
  if (known !== undefined) return known;
  const mark = flavour === 'nft' ? 'nf_tables' : 'legacy';
  const command = [key, base].find((name) => run(name, ['--version']).output.includes(mark)) ?? null;
  found.set(key, command);
  return command;
}

/** True when it went well. Waits for other iptables programs to finish. */
export function runIptables(
  flavour: IptablesFlavour,
  family: number,
  parameters: readonly string[],
): { readonly ok: boolean; readonly output: string } {
  const command = iptablesCommand(flavour, family);
  return command === null ? { ok: false, output: `the host has no iptables-${flavour} program` } : run(command, ['-w', '5', ...parameters]);
}

/** Whether the old kernel interface holds a filter table; asking iptables-legacy itself would make one. */
export function hasLegacyFilter(family: number): boolean {
  try {
    const file = family === NFPROTO_IPV4 ? 'ip_tables_names' : 'ip6_tables_names';
    return readFileSync(`/proc/thread-self/net/${file}`, 'utf8').split('\n').includes('filter');
  } catch {
    // No such file: the kernel has no old iptables.
    return false;
  }
}

export interface IptablesRules {
  readonly policies: ReadonlyMap<string, string>;
  readonly rules: ReadonlyMap<string, readonly (RuleEffect | null)[]>;
}

export function readIptablesRules(flavour: IptablesFlavour, family: number): IptablesRules {
  return parseIptablesRules(runIptables(flavour, family, ['-t', 'filter', '-S']).output);
}

/** Of `iptables -S`: `-P FORWARD DROP`, `-N ours`, `-A FORWARD -i eth0 -j ours`. */
export function parseIptablesRules(text: string): IptablesRules {
  const policies = new Map<string, string>();
  const rules = new Map<string, (RuleEffect | null)[]>();
  for (const line of text.split('\n')) {
    const [command, chain = '', ...rest] = line.split(' ');
    if (command === '-P') policies.set(chain, rest[0] ?? '');
    if (command !== '-A') continue;
    const list = rules.get(chain) ?? [];
    list.push(effectOfParameters(rest));
    rules.set(chain, list);
  }
  return { policies, rules };
}

/** Null when a condition stands before the target. */
function effectOfParameters([option, target = '']: readonly string[]): RuleEffect | null {
  if (option === '-g') return { kind: 'goto', chain: target };
  if (option !== '-j') return null;
  if (target === 'ACCEPT') return { kind: 'accept', chain: '' };
  if (target === 'DROP' || target === 'REJECT') return { kind: 'drop', chain: '' };
  if (target === 'RETURN') return { kind: 'return', chain: '' };
  // An extension (LOG, MARK) or a chain of the user's: a chain that does not exist has no rules.
  return { kind: 'jump', chain: target };
}

function run(command: string, parameters: readonly string[]): { readonly ok: boolean; readonly output: string } {
  const env = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` };
  const { status, stdout, stderr } = spawnSync(command, parameters, { encoding: 'utf8', env, timeout: timeoutMs });
  return { ok: status === 0, output: status === 0 ? stdout : `${stderr ?? ''}`.trim() };
}
