/**
 * Intel RDT through the kernel's resctrl file system (Documentation/arch/x86/resctrl.rst): shares of the L3 cache and of memory bandwidth for the processes of a group.
 *
 *   <root>/schemata, tasks, info/…      the group that everybody is in
 *   <root>/<closID>/schemata, tasks     a group of its own; `0` written to `tasks` is whoever writes
 *   …/mon_groups/<id>/tasks             what this container alone uses of it
 *
 * A group that is removed gives its processes back to the root group, so one that somebody else is in stays.
 */
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, hasErrnoCode, invalid } from '../base/errors.ts';

export const resctrlRoot = '/sys/fs/resctrl';

/** As `linux.intelRdt` of the OCI runtime specification. */
export interface ResctrlWish {
  readonly closID?: string;
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
  readonly schemata?: readonly string[];
  readonly enableCMT?: boolean;
  readonly enableMBM?: boolean;
  readonly enableMonitoring?: boolean;
}

export interface ResctrlPlace {
  /** To be written to in this order by a process that joins. */
  readonly joinFiles: readonly string[];
  /** Directories that did not exist before, in the order in which they go. */
  readonly made: readonly string[];
}

/** All or nothing. `id` names the group of a container that shares none. */
export async function openResctrlGroup(id: string, wish: ResctrlWish, root = resctrlRoot): Promise<ResctrlPlace> {
  const { closID = id } = wish;
  if (closID !== '/' && !/^(?!\.{1,2}$)[^/\n]{1,255}$/.test(closID))
    throw invalid(`The Intel RDT class "${closID}" is not the name of a group`);
  const lines = schemataOf(wish);
  await requireSupport(wish, lines, root);
  const group = closID === '/' ? root : join(root, closID);
  const made: string[] = [];
  try {
    if (await makeDirectory(group)) made.push(group);
    else if (lines.length > 0) await requireSame(group, lines);
    if (made.length > 0 && wish.closID !== undefined && lines.length === 0) {
      throw new EngineError(
        'not-found',
        `there is no Intel RDT class "${closID}" in ${root}: make it, or say what it shall have (schemata)`,
      );
    }
    if (made.length > 0 && lines.length > 0) await writeSchemata(root, group, lines);
    const monitor = wish.enableMonitoring === true ? join(group, 'mon_groups', id) : null;
    if (monitor !== null && (await makeDirectory(monitor))) made.unshift(monitor);
    return { joinFiles: [group, ...(monitor === null ? [] : [monitor])].map((directory) => join(directory, 'tasks')), made };
  } catch (thrown) {
    await closeResctrlGroup(made);
    throw thrown;
  }
}

/** Those that nobody is in. Never fails: what cannot be removed is left. */
export async function closeResctrlGroup(made: readonly string[]): Promise<void> {
  for (const directory of made) {
    const tasks = await readFile(join(directory, 'tasks'), 'utf8').catch(() => '');
    if (tasks.trim() === '') await rmdir(directory).catch(() => {});
  }
}

function schemataOf({ schemata = [], l3CacheSchema = '', memBwSchema = '' }: ResctrlWish): readonly string[] {
  const all = [...schemata, ...l3CacheSchema.split('\n'), ...memBwSchema.split('\n')]
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const wrong = all.find((line) => !/^[A-Z0-9]+:\S+$/.test(line));
  if (wrong !== undefined) throw invalid(`"${wrong}" is not a line of an Intel RDT schemata, as "L3:0=ff" or "MB:0=50"`);
  return all;
}

async function requireSupport(wish: ResctrlWish, lines: readonly string[], root: string): Promise<void> {
  const resources = await namesIn(join(root, 'info'));
  if (resources === null) throw new EngineError('unavailable', await whyNoResctrl(root));
  for (const line of lines) {
    const resource = line.slice(0, line.indexOf(':'));
    if (resources.includes(resource)) continue;
    const known = resources.filter((name) => !name.includes('_')).join(', ');
    throw new EngineError(
      'unavailable',
      `Intel RDT: this processor cannot share "${resource}" out (${join(root, 'info')} has ${known || 'nothing'})`,
    );
  }
  await requireMonitoring(wish, root);
}

async function requireMonitoring({ enableCMT, enableMBM, enableMonitoring }: ResctrlWish, root: string): Promise<void> {
  if (enableCMT !== true && enableMBM !== true && enableMonitoring !== true) return;
  const features = await readFile(join(root, 'info/L3_MON/mon_features'), 'utf8').catch(() => '');
  const missing = [
    ...(enableCMT === true && !features.includes('llc_occupancy') ? ['cache monitoring (CMT)'] : []),
    ...(enableMBM === true && !features.includes('mbm_') ? ['memory bandwidth monitoring (MBM)'] : []),
    ...(enableMonitoring === true && features === '' ? ['monitoring'] : []),
  ];
  if (missing.length > 0) throw new EngineError('unavailable', `Intel RDT: this processor has no ${missing.join(' and no ')}`);
}

async function whyNoResctrl(root: string): Promise<string> {
  const fileSystems = await readFile('/proc/filesystems', 'utf8').catch(() => '');
  if (!/\bresctrl\b/.test(fileSystems)) return 'Intel RDT: this processor or kernel has none (no "resctrl" in /proc/filesystems)';
  return `Intel RDT: resctrl is not mounted: mount -t resctrl resctrl ${root}`;
}

async function namesIn(directory: string): Promise<readonly string[] | null> {
  return await readdir(directory).catch((thrown: unknown) => {
    if (hasErrnoCode(thrown, 'ENOENT', 'ENOTDIR')) return null;
    throw thrown;
  });
}

/** False: it was there. */
async function makeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (thrown) {
    if (hasErrnoCode(thrown, 'EEXIST')) return false;
    const why = hasErrnoCode(thrown, 'ENOSPC')
      ? 'all classes or monitors of this processor are in use'
      : String((thrown as NodeJS.ErrnoException).code);
    throw new EngineError('system', `Intel RDT: the group ${path} cannot be made: ${why}`, { cause: thrown });
  }
}

/** Others are in it, and count on what it has. */
async function requireSame(group: string, lines: readonly string[]): Promise<void> {
  const has = new Set((await readFile(join(group, 'schemata'), 'utf8')).split('\n').flatMap(canonicalLines));
  const missing = lines.find((line) => canonicalLines(line).some((one) => !has.has(one)));
  if (missing !== undefined) throw new EngineError('conflict', `Intel RDT: the class ${group} exists and does not have "${missing}"`);
}

/** `L3:0=0f;1=f` → `L3 0 f`, `L3 1 f`: spaces and leading zeros say nothing. */
function canonicalLines(line: string): readonly string[] {
  const [resource = '', shares = ''] = line.trim().split(':');
  return shares.split(';').flatMap((share) => {
    const [domain = '', value = ''] = share.trim().split('=');
    return value === ''
      ? []
      : [
          `${resource} ${Number(domain)} ${value
            .trim()
            .replace(/^0+(?=.)/, '')
            .toLowerCase()}`,
        ];
  });
}

async function writeSchemata(root: string, group: string, lines: readonly string[]): Promise<void> {
  try {
    await writeFile(join(group, 'schemata'), `${lines.join('\n')}\n`);
  } catch (thrown) {
    const status = await readFile(join(root, 'info/last_cmd_status'), 'utf8').catch(() => '');
    const why = status.trim() === '' || status.trim() === 'ok' ? String((thrown as NodeJS.ErrnoException).code) : status.trim();
    throw new EngineError('invalid', `Intel RDT: the kernel refuses "${lines.join('; ')}" for ${group}: ${why}`, { cause: thrown });
  }
}
