/** What is said below the display when a build is over: why it failed, warnings, and with `--explain` why each step was run. */
import type { BuildWarningText, FailedBuild } from '../../../client/build-types.ts';
import { tameLines, tameText } from '../../progress/visible-text.ts';
import type { Step } from './build-model.ts';

/**
 *     ------
 *      > [2/2] RUN false:
 *     what it wrote last
 *     ------
 *     Dockerfile:2
 *     …
 *     ERROR: failed to solve: …
 */
export function failureText({ message, step, lastLines, excerpt }: FailedBuild): string {
  const output = step === null ? '' : `------\n > ${tameText(step)}:\n${lastLines.map((line) => `${line}\n`).join('')}------\n`;
  const source = excerpt === '' ? '' : `${tameLines(excerpt.replace(/\n+$/, ''))}\n`;
  return `${output}${source}ERROR: failed to solve: ${tameLines(message)}\n`;
}

/** Empty: there are none. */
export function warningsText(warnings: readonly BuildWarningText[]): string {
  if (warnings.length === 0) return '';
  const title = `${warnings.length} warning${warnings.length === 1 ? '' : 's'} found (gantry build --check shows the lines)`;
  return `\n ${title}:\n${warnings.map(({ short, place }) => ` - ${tameText(withLine(short, place))}\n`).join('')}`;
}

function withLine(short: string, place: BuildWarningText['place']): string {
  return place === null || /\(line \d+\)$/.test(short) ? short : `${short} (line ${place.startLine})`;
}

export function explanationsText(steps: readonly Step[]): string {
  return steps
    .flatMap(({ name, explanation }) => {
      if (explanation === null) return [];
      const why = explanation.reasons.length === 0 ? '' : `: ${explanation.reasons.join('; ')}`;
      return [`${explanation.cached ? 'HIT ' : 'MISS'}  ${tameText(name)}${tameText(why)}\n`];
    })
    .join('');
}
