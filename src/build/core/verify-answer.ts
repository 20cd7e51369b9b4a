/** What `--verify` says: both builds are the same, or which step came to something else, in which file, and what usually helps. */
import type { Place } from '../../dockerfile/source-range.ts';
import type { BuildOutcome } from '../builder.ts';
import type { LayerDifference } from './first-difference.ts';

export interface DifferingStep {
  /** `[2/3] RUN make` */
  readonly title: string;
  readonly place: Place;
  /** Null: the layers differ, and no file shows why. */
  readonly difference: LayerDifference | null;
}

export function sameAnswer(imageIds: readonly string[], steps: number): NonNullable<BuildOutcome['answer']> {
  const text = `The build is reproducible: built twice without the cache, ${count(steps, 'step')} gave ${imageIds.join(', ')} both times.\n`;
  return { text, json: { identical: true, images: imageIds } };
}

export function differingAnswer({ title, place, difference }: DifferingStep): NonNullable<BuildOutcome['answer']> {
  const advice = difference === null ? null : adviceFor(difference.path);
  const what = difference === null ? 'the layers differ in attributes that no file shows' : `${difference.path}: ${difference.how}`;
  const lines = [
    'The build is not reproducible: built twice without the cache, this step came to something else the second time.',
    '',
    `  ${title} (line ${place.startLine})`,
    `  ${what}`,
    ...(advice === null ? [] : [`  ${advice}`]),
  ];
  const json = {
    identical: false,
    step: title,
    line: place.startLine,
    path: difference?.path ?? null,
    how: difference?.how ?? null,
    advice,
  };
  return { text: `${lines.join('\n')}\n`, json };
}

/** Where commands that are no mistake write what differs each time. */
const known: readonly (readonly [RegExp, string])[] = [
  [/^\/var\/cache\/ldconfig\/aux-cache$/, 'ldconfig keeps inode numbers and times there: rm /var/cache/ldconfig/aux-cache in the same RUN'],
  [
    /^\/var\/(lib\/apt\/lists|cache\/apt|cache\/debconf)\//,
    'apt keeps what it downloaded there: rm -rf /var/lib/apt/lists/* /var/cache/apt/* in the same RUN',
  ],
  [/^\/var\/log\//, 'a log holds the time of day: remove it in the same RUN'],
  [/\.pyc$/, 'Python writes times into bytecode: PYTHONDONTWRITEBYTECODE=1, or python3 -m compileall --invalidation-mode unchecked-hash'],
  [/^\/etc\/machine-id$/, 'it is random: empty it in the same RUN'],
  [/^\/etc\/(g?shadow-?|passwd-?|group-?)$/, 'useradd writes the day there: the time of day is not that of SOURCE_DATE_EPOCH'],
  [/\.(a|jar|zip|whl)$/, 'archives hold the times of their files: ar D, jar --date, or touch -d @$SOURCE_DATE_EPOCH the files before'],
  [/^\/(root\/)?(\.npm|\.cache)\//, 'a cache of a package manager: use RUN --mount=type=cache for it'],
  [/^\/tmp\//, 'remove what is left in /tmp in the same RUN, or use RUN --mount=type=tmpfs,target=/tmp'],
];

function adviceFor(path: string): string | null {
  return known.find(([pattern]) => pattern.test(path))?.[1] ?? null;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
