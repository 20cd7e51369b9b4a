/** `--provenance`, `--sbom` and `--attest`, which says both. */
import { CliError } from '../../cli-error.ts';
import type { FlagValues } from '../../flags/flag-values.ts';
import { KeyValueFields } from './key-value-fields.ts';

interface Attestations {
  readonly provenance: 'min' | 'max' | null;
  readonly sbom: boolean;
}

export function attestations(flags: FlagValues): Attestations {
  const attested = flags.parsedList('attest', parseAttestation);
  const provenance =
    flags.parsed('provenance', parseProvenance) ?? attested.findLast(({ provenance: mode }) => mode !== undefined)?.provenance;
  const sbom = flags.parsed('sbom', parseSbom) ?? attested.findLast(({ sbom: wanted }) => wanted !== undefined)?.sbom;
  if (attested.some(({ provenance: mode }) => mode !== undefined) && flags.has('provenance'))
    throw new CliError('--provenance and --attest type=provenance say the same thing: give one of them');
  if (attested.some(({ sbom: wanted }) => wanted !== undefined) && flags.has('sbom'))
    throw new CliError('--sbom and --attest type=sbom say the same thing: give one of them');
  return { provenance: provenance ?? null, sbom: sbom ?? false };
}

function parseAttestation(text: string): { readonly provenance?: 'min' | 'max' | null; readonly sbom?: boolean } {
  const fields = new KeyValueFields(text);
  const type = fields.choice('type', ['provenance', 'sbom']);
  if (type === null) throw new Error('type is required: write type=provenance or type=sbom');
  const disabled = fields.bool('disabled') ?? false;
  if (type === 'sbom') {
    refuseGenerator(fields);
    fields.finish('an SBOM');
    return { sbom: !disabled };
  }
  const mode = fields.choice('mode', ['min', 'max']) ?? 'min';
  finishProvenance(fields);
  return { provenance: disabled ? null : mode };
}

function parseProvenance(text: string): 'min' | 'max' | null {
  const fields = new KeyValueFields(['true', 'false', '1', '0'].includes(text) ? `on=${text}` : text);
  const on = fields.bool('on') ?? true;
  const mode = fields.choice('mode', ['min', 'max']) ?? 'min';
  finishProvenance(fields);
  return on ? mode : null;
}

/** A form that is what there is may be asked for by name. */
function finishProvenance(fields: KeyValueFields): void {
  fields.choice('version', ['v1']);
  fields.finish('provenance');
}

function parseSbom(text: string): boolean {
  const fields = new KeyValueFields(['true', 'false', '1', '0'].includes(text) ? `on=${text}` : text);
  refuseGenerator(fields);
  const on = fields.bool('on') ?? true;
  fields.finish('an SBOM');
  return on;
}

function refuseGenerator(fields: KeyValueFields): void {
  if (fields.text('generator') !== null)
    throw new Error('generator is not supported: packages are found by the engine itself, in the databases of dpkg, apk, npm and pip');
}
