/** What changed between two keys of the same step, in words. Parts are named in `cache-key.ts`. */

type Parts = ReadonlyMap<string, string>;

/** More files than this are a number. */
const filesTold = 10;

const sentences: Readonly<Record<string, string>> = {
  instruction: 'the instruction changed',
  devices: 'its devices changed',
  mounts: 'its mounts changed',
  settings: 'the settings of the build that a RUN sees changed (host names, ulimits, hostname, GPUs)',
};

const values: Readonly<Record<string, string>> = {
  epoch: 'the time given to files',
  directory: 'the working directory',
  user: 'the user',
  platform: 'the platform',
  network: 'the network',
  security: 'the security mode',
};

/** Empty: nothing did. The step below comes last: what the step's own inputs are says more. */
export function changesBetween(before: Parts, now: Parts): readonly string[] {
  const changed = new Set([...now.keys(), ...before.keys()].filter((name) => before.get(name) !== now.get(name)));
  const fixed = ['instruction', 'mounts', 'devices', ...Object.keys(values), 'settings'].filter((name) => changed.has(name));
  return [
    ...fixed.map((name) => fixedChange(name, before, now)),
    ...[...changed].filter((name) => /^(argument|variable) /.test(name)).map((name) => variableChange(name, before, now)),
    ...fileChanges(changed, before, now),
    ...(changed.has('below') ? ['the step before it changed'] : []),
  ];
}

function fixedChange(name: string, before: Parts, now: Parts): string {
  const sentence = sentences[name];
  return sentence ?? change(values[name] ?? name, before.get(name), now.get(name));
}

function variableChange(part: string, before: Parts, now: Parts): string {
  const [kind = '', name = ''] = splitOnce(part);
  return change(`${kind === 'argument' ? 'build argument' : 'environment variable'} ${name}`, before.get(part), now.get(part));
}

/** Values are JSON; those that may not be seen, or are too long, are digests. */
function change(what: string, before: string | undefined, now: string | undefined): string {
  const isSeen = (value: string | undefined): value is string => value !== undefined && !value.startsWith('#');
  if (now === undefined) return `${what} is not set any more${isSeen(before) ? `, was ${before}` : ''}`;
  if (before === undefined) return isSeen(now) ? `${what} is ${now}, was not set` : `${what} is new`;
  if (isSeen(now) && isSeen(before)) return `${what} is ${now}, was ${before}`;
  return `${what} changed`;
}

function fileChanges(changed: ReadonlySet<string>, before: Parts, now: Parts): readonly string[] {
  const files = [...changed].filter((name) => name.startsWith('file '));
  const told = files.slice(0, filesTold).map((part) => fileChange(part, before, now));
  const explained = new Set(files.map(sourceOf));
  // Only the first files of a selection are kept apart.
  const others = [...changed].filter((name) => name.startsWith('files ') && !explained.has(sourceOf(name)));
  return [
    ...new Set(told),
    ...(files.length > filesTold ? [`${files.length - filesTold} more files changed`] : []),
    ...(others.length > 0 ? ['its files changed'] : []),
  ];
}

function fileChange(part: string, before: Parts, now: Parts): string {
  const [, rest = ''] = splitOnce(part);
  const [, path = ''] = splitOnce(rest);
  const name = path === '' ? 'its source' : path;
  if (!before.has(part)) return `${name} is new`;
  return now.has(part) ? `${name} changed` : `${name} is gone`;
}

/** `file 0 src/app.ts`, `files 0` → `0` */
function sourceOf(part: string): string {
  return part.split(' ')[1] ?? '';
}

function splitOnce(text: string): readonly [string, string] {
  const space = text.indexOf(' ');
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)];
}
