/**
 * The config of an image that was built: what its base says, then what the Dockerfile says, with one time everywhere. A pure function, with a fixed order of fields and sorted maps: the
 * same build gives the same bytes.
 */
import type { ImageConfig, ImageHistory, ImageRunConfig } from '../../oci/image-config.ts';
import { copyMap } from '../../oci/json.ts';
import type { StageResult } from '../plan/build-plan.ts';
import type { Tree } from '../result.ts';

const historyComment = 'buildkit.dockerfile.v0';

export interface ConfigInput {
  readonly stage: StageResult;
  readonly tree: Tree;
  /** Of `--label`: they win over LABEL, and are in no history. */
  readonly labels: ReadonlyMap<string, string>;
  /** All layers above the base are one. */
  readonly squashed: boolean;
}

export function builtConfig({ stage, tree, labels, squashed }: ConfigInput): ImageConfig {
  const { author, epoch, base, config } = stage;
  const created = rfc3339(epoch);
  const below = base === null ? [] : fittingHistory(base.config.history, base.layers.length, created);
  const own = stage.history.map(({ createdBy, empty }) => entry(created, createdBy, empty || squashed));
  const all = [...Object.entries(config.Labels ?? {}), ...labels];
  const { os, architecture, variant, version } = platformOf(stage);
  return {
    created,
    ...(author === null ? {} : { author }),
    architecture,
    ...(variant === undefined ? {} : { variant }),
    os,
    ...(version === undefined ? {} : { 'os.version': version }),
    config: ordered({ ...config, ...(all.length === 0 ? {} : { Labels: copyMap(all) }) }),
    rootfs: { type: 'layers', diff_ids: tree.layers.map(({ diffId }) => diffId) },
    history: [...below, ...own, ...(squashed ? [{ created, comment: 'all layers above the base in one' }] : [])],
  };
}

/** Of an image that is not made for what was asked, its own: what runs in it is what it says. */
function platformOf({ platform, base }: StageResult): {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string | undefined;
  readonly version: string | undefined;
} {
  const { os, architecture, variant, 'os.version': version } = base?.config ?? platform;
  return { os, architecture, variant, version };
}

/** Seconds since 1970; whole ones, as Docker writes them. */
export function rfc3339(epoch: number): string {
  return new Date(epoch * 1000).toISOString().replace('.000Z', 'Z');
}

function entry(created: string, createdBy: string, isEmpty: boolean): ImageHistory {
  return { created, created_by: createdBy, comment: historyComment, ...(isEmpty ? { empty_layer: true } : {}) };
}

/** As many entries with a layer as there are layers: imported images have none, others too many. */
function fittingHistory(history: readonly ImageHistory[], layers: number, created: string): readonly ImageHistory[] {
  let left = layers;
  const fitting = history.map((each) => {
    if (each.empty_layer === true) return each;
    return left-- > 0 ? each : { ...each, empty_layer: true };
  });
  const missing = Array.from({ length: Math.max(0, left) }, () => ({ created, comment: 'buildkit.exporter.image.v0' }));
  return [...fitting, ...missing];
}

const order: readonly (keyof ImageRunConfig)[] = [
  'Hostname',
  'Domainname',
  'User',
  'ExposedPorts',
  'Env',
  'Entrypoint',
  'Cmd',
  'Volumes',
  'WorkingDir',
  'Labels',
  'StopSignal',
  'StopTimeout',
  'Healthcheck',
  'OnBuild',
  'Shell',
  'ArgsEscaped',
];
const maps: readonly (keyof ImageRunConfig)[] = ['ExposedPorts', 'Volumes', 'Labels'];

/** Empty values are left out, as everywhere in Docker. */
function ordered(config: ImageRunConfig): ImageRunConfig {
  return Object.fromEntries(order.flatMap((name) => (isEmpty(config[name]) ? [] : [[name, sorted(name, config[name])]])));
}

function isEmpty(value: ImageRunConfig[keyof ImageRunConfig]): boolean {
  if (value === undefined || value === '' || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function sorted(name: keyof ImageRunConfig, value: unknown): unknown {
  if (!maps.includes(name)) return value;
  return copyMap(Object.entries(value as Record<string, unknown>).sort(([one], [other]) => (one < other ? -1 : 1)));
}
