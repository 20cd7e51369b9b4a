/** Answers of `--call` (`requestid`) in the metadata that clients read: `result.txt` for people, `result.json` in BuildKit's shapes. */
import type { BuildWarning } from '../../../build/build-event.ts';
import type { BuildOutcome } from '../../../build/builder.ts';
import type { BuiltResult } from './jobs.ts';
import type { ShownFile } from './status-log.ts';

export function answerMetadata(
  { plan, outcome }: BuiltResult,
  file: ShownFile | null,
  answer: BuildOutcome['answer'],
): ReadonlyMap<string, Uint8Array> {
  const lint = plan.request.call === 'check';
  const json = lint ? lintResult(outcome.warnings, file) : (answer?.json ?? {});
  const metadata = new Map([
    ['result.json', Buffer.from(JSON.stringify(json, null, 2))],
    ['result.txt', Buffer.from(answer?.text ?? '')],
    ['version', Buffer.from('1.0.0')],
  ]);
  if (lint) metadata.set('result.statuscode', Buffer.from(outcome.warnings.length > 0 ? '1' : '0'));
  return metadata;
}

function lintResult(warnings: readonly BuildWarning[], file: ShownFile | null): object {
  return {
    warnings: warnings.map(({ rule, short, detail, url, place }) => ({
      ruleName: rule,
      description: detail,
      url,
      detail: short.replace(`${rule}: `, '').replace(/ \(line \d+\)$/, ''),
      location: place === null ? { sourceIndex: -1 } : { ranges: [{ start: { line: place.startLine }, end: { line: place.endLine } }] },
    })),
    sources: file === null ? [] : [{ filename: file.name, language: 'Dockerfile', data: Buffer.from(file.text).toString('base64') }],
  };
}
