/** `--default-ulimit`, `--cgroup-parent`, `--default-shm-size` and real-time budgets: what containers get that do not say it themselves. */
import { parseByteSize } from '../base/byte-size.ts';
import { invalid } from '../base/errors.ts';
import { checkedCgroupParent } from '../containers/cgroup-parent.ts';
import type { ResourceDefaults } from '../containers/resource-defaults.ts';
import { rlimitNumbers } from '../linux/constants.ts';
import type { Setting } from './setting.ts';

export const resourceSettings: readonly Setting[] = [
  {
    flag: 'default-ulimit',
    key: 'default-ulimits',
    kind: 'list',
    help: 'NAME=SOFT[:HARD] of containers that do not say it (repeatable)',
    fromJson: ulimitsFromJson,
  },
  { flag: 'cgroup-parent', key: 'cgroup-parent', kind: 'text', help: 'cgroup of containers: /path, or below the one of the daemon' },
  { flag: 'default-shm-size', key: 'default-shm-size', kind: 'text', help: 'size of /dev/shm (64M)', fromJson: sizeFromJson },
  { flag: 'cpu-rt-period', key: 'cpu-rt-period', kind: 'number', help: 'real-time period of the cgroups above containers, microseconds' },
  { flag: 'cpu-rt-runtime', key: 'cpu-rt-runtime', kind: 'number', help: 'real-time budget of the cgroups above containers, microseconds' },
];

export function resourceOptions(values: ReadonlyMap<string, readonly string[]>): ResourceDefaults {
  const one = (flag: string): string => values.get(flag)?.at(-1) ?? '';
  const period = microseconds(one('cpu-rt-period'), '--cpu-rt-period');
  const runtime = microseconds(one('cpu-rt-runtime'), '--cpu-rt-runtime');
  if (period !== 0 && runtime > period) throw invalid('invalid --cpu-rt-runtime: it cannot be higher than --cpu-rt-period');
  return {
    ulimits: (values.get('default-ulimit') ?? []).map(parseUlimit),
    cgroupParent: checkedCgroupParent(one('cgroup-parent')),
    shmSizeBytes: one('default-shm-size') === '' ? 0 : parseSize(one('default-shm-size')),
    realtime: { period, runtime },
  };
}

function microseconds(text: string, name: string): number {
  if (text === '') return 0;
  if (!/^\d{1,9}$/.test(text)) throw invalid(`invalid value for ${name}: ${JSON.stringify(text)} is no number of microseconds`);
  return Number(text);
}

function parseUlimit(text: string): ResourceDefaults['ulimits'][number] {
  const [, name = '', soft, hard = soft] = /^(\w+)=(-1|\d+)(?::(-1|\d+))?$/.exec(text) ?? [];
  const bad = (why: string) => invalid(`invalid value for --default-ulimit: ${JSON.stringify(text)}: ${why}`);
  if (soft === undefined || hard === undefined) throw bad('write NAME=SOFT or NAME=SOFT:HARD');
  if (rlimitNumbers[name] === undefined) throw bad(`there is no ulimit ${name}`);
  const [least, most] = [Number(soft), Number(hard)];
  if (most !== -1 && (least === -1 || least > most)) throw bad('the soft limit must not be above the hard limit');
  return { Name: name, Soft: least, Hard: most };
}

/** `{"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}}` */
function ulimitsFromJson(value: unknown, name: string): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${name} must be an object of ulimits by name`);
  return Object.entries(value).map(([key, entry]) => {
    const { Name = key, Soft, Hard } = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>;
    if (typeof Soft !== 'number' || typeof Hard !== 'number') throw invalid(`${name}: ${key} must have the numbers Soft and Hard`);
    return `${String(Name)}=${Soft}:${Hard}`;
  });
}

function sizeFromJson(value: unknown, name: string): readonly string[] {
  if (typeof value === 'string' || typeof value === 'number') return [String(value)];
  throw invalid(`${name} must be a size, such as "64M"`);
}

function parseSize(text: string): number {
  try {
    return parseByteSize(text) || refuseSize(text);
  } catch {
    return refuseSize(text);
  }
}

function refuseSize(text: string): never {
  throw invalid(`invalid value for --default-shm-size: ${JSON.stringify(text)} is no size. Write 64M, 1g or a number of bytes`);
}
