/**
 * `gantry system fsck`: what the daemon's data root, exec root and kernel objects should not have, or lack. Beyond Docker.
 * Exit code: 0 when there is nothing (left), 1 when there is.
 */
import type { FsckFinding } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const systemFsck: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
      --deep            Also read all stored bytes and compare them with their digests
      --format string   Format output: json, or text (default)
      --repair          Put right what can be put right; nothing that is in use is touched
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    const format = flags.string('format');
    if (!['', 'text', 'json'].includes(format)) throw new CliError(`invalid --format ${JSON.stringify(format)}: json or text`);
    const repair = flags.bool('repair');
    const { Findings } = await client.system.fsck({ repair, deep: flags.bool('deep') });
    context.print(format === 'json' ? `${JSON.stringify({ Findings })}\n` : fsckText(Findings));
    return Findings.every(({ Outcome }) => Outcome === 'repaired') ? 0 : 1;
  },
};

function fsckText(findings: readonly FsckFinding[]): string {
  if (findings.length === 0) return 'Nothing to repair\n';
  const repaired = findings.filter(({ Outcome }) => Outcome === 'repaired').length;
  const left = findings.length - repaired;
  const ends = [...(repaired === 0 ? [] : [`${repaired} repaired`]), ...(left === 0 ? [] : [`${left} left`])];
  return `${findings.map(findingText).join('')}\n${ends.join(', ')}\n`;
}

function findingText({ Kind, What, Why, Repair, Outcome, Error: cause }: FsckFinding): string {
  return `${Kind} ${What}\n  ${Why}\n  ${outcomeText(Repair, Outcome, cause)}\n`;
}

function outcomeText(repair: string, outcome: FsckFinding['Outcome'], cause: string | undefined): string {
  if (outcome === 'repaired') return `repaired: ${repair}`;
  if (outcome === 'failed') return `--repair failed: ${cause ?? 'unknown'}`;
  return repair === '' ? '--repair leaves it' : `--repair ${repair}`;
}
