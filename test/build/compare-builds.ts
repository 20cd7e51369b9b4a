/** What two builders make of one Dockerfile, compared: the tree by path, type, mode, owner and content, and the config. What the peer made may be a recording (record-peer.ts). */
import { type BuildAnswer, type BuiltImage, build, type ImageFile, type ImageFiles, savedImages, tarOf } from './built-images.ts';
import { type PeerCase, sharedContext } from './peer-cases.ts';

/** In words: `file 644 0:0 "F\n"`. */
export interface Outcome {
  /** Null: it was built. */
  readonly error: string | null;
  readonly config: Readonly<Record<string, string>>;
  /** What the base image does not have, or has otherwise; `nothing`: removed. */
  readonly files: Readonly<Record<string, string>>;
}

export interface BuildAllOptions {
  /** How many are built side by side. */
  readonly atOnce: number;
  /** For all of them. */
  readonly query?: Readonly<Record<string, string>>;
}

/** By name, which is unique. */
export async function buildAll(
  host: string,
  cases: readonly PeerCase[],
  { atOnce, query = {} }: BuildAllOptions,
): Promise<ReadonlyMap<string, Outcome>> {
  const base: PeerCase = { name: '', dockerfile: 'FROM busybox\nENV A=1\n' };
  const answers = new Map<string, BuildAnswer>();
  const waiting = [base, ...cases];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const tar = await tarOf({ ...sharedContext, Dockerfile: next.dockerfile, ...next.files });
      answers.set(next.name, await build(host, tar, { ...query, ...next.query }));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const images = await savedImages(
    host,
    [...answers.values()].flatMap(({ imageId }) => imageId ?? []),
  );
  const made = (name: string) => images.get(answers.get(name)?.imageId ?? '');
  const baseImage = made('');
  if (baseImage === undefined) throw new Error(`busybox cannot be built upon: ${answers.get('')?.error}`);
  return new Map(cases.map(({ name }) => [name, outcomeOf(answers.get(name)?.error ?? null, made(name), baseImage)]));
}

export interface Recorded {
  readonly dockerfile: string;
  /** Null: it is not this builder's language. */
  readonly classic: Outcome | null;
  readonly buildkit: Outcome;
}

/** Of the peer's two builders, one after the other. */
export async function askPeer(host: string, cases: readonly PeerCase[]): Promise<Readonly<Record<string, Recorded>>> {
  const common = cases.filter(({ only }) => only === undefined);
  const classic = await buildAll(host, common, { atOnce: 2 });
  const buildkit = await buildAll(host, cases, { atOnce: 2, query: { version: '2' } });
  const recorded = cases.map(({ name, dockerfile }) => {
    const outcome = buildkit.get(name);
    if (outcome === undefined) throw new Error(`${name} was not built`);
    return [name, { dockerfile, classic: classic.get(name) ?? null, buildkit: outcome }] as const;
  });
  return Object.fromEntries(recorded);
}

/** What differs, as `differs.in` of a case names it, with both sides. Empty: nothing. */
export function differences(ours: Outcome, theirs: Outcome): ReadonlyMap<string, string> {
  if (ours.error !== null || theirs.error !== null) {
    if (ours.error !== null && theirs.error !== null) return new Map();
    return new Map([['result', `ours: ${ours.error ?? 'built'}; theirs: ${theirs.error ?? 'built'}`]]);
  }
  return new Map([...unequal(ours.files, theirs.files, 'as in the base'), ...unequal(ours.config, theirs.config, '')]);
}

function* unequal(
  ours: Readonly<Record<string, string>>,
  theirs: Readonly<Record<string, string>>,
  absent: string,
): Generator<[string, string]> {
  for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    const [mine, other] = [ours[key] ?? absent, theirs[key] ?? absent];
    if (mine !== other) yield [key, `ours: ${mine}; theirs: ${other}`];
  }
}

function outcomeOf(error: string | null, image: BuiltImage | undefined, base: BuiltImage): Outcome {
  if (image === undefined) return { error: error ?? 'no image', config: {}, files: {} };
  const hasBase = image.config.rootfs.diff_ids[0] === base.config.rootfs.diff_ids[0];
  return { error: null, config: shownConfig(image), files: Object.fromEntries(changedFiles(image.tree, hasBase ? base.tree : new Map())) };
}

function* changedFiles(tree: ImageFiles, base: ImageFiles): Generator<[string, string]> {
  for (const path of new Set([...tree.keys(), ...base.keys()])) {
    const [now, before] = [shownFile(tree.get(path)), shownFile(base.get(path))];
    if (now !== before) yield [path, now];
  }
}

function shownFile(file: ImageFile | undefined): string {
  if (file === undefined) return 'nothing';
  const { type, mode, uid, gid, content, attributes } = file;
  return `${type} ${mode.toString(8)} ${uid}:${gid} ${JSON.stringify(content)} ${attributes}`.trim();
}

const comparedKeys = [
  'User',
  'ExposedPorts',
  'Env',
  'Entrypoint',
  'Cmd',
  'Volumes',
  'WorkingDir',
  'Labels',
  'StopSignal',
  'Healthcheck',
  'OnBuild',
  'Shell',
];

function shownConfig({ config }: BuiltImage): Record<string, string> {
  const shown = comparedKeys.map((key) => [`config.${key}`, shownValue(config.config[key])] as const);
  return Object.fromEntries([...shown, ['config.author', config.author ?? ''] as const].filter(([, text]) => text !== ''));
}

/** Empty, null and absent are one; maps by key. */
function shownValue(value: unknown): string {
  if (value === undefined || value === null || value === '') return '';
  if (Array.isArray(value)) return value.length === 0 ? '' : JSON.stringify(value);
  if (typeof value !== 'object') return JSON.stringify(value);
  const sorted = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return sorted.length === 0 ? '' : JSON.stringify(Object.fromEntries(sorted));
}
