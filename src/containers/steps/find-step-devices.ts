/**
 * What the words of `RUN --device` mean on this machine, as BuildKit has it:
 *
 *     /dev/fuse             this node (ours)
 *     vendor.com/class=x    this device
 *     vendor.com/class      the first of its kind
 *     vendor.com/class=*    all of them
 *     word                  all that are annotated with this class; also for a word of the other forms that finds nothing
 *
 * A description may leave a device to every build (`autoallow`); everything else wants the build's leave.
 */
import { invalid } from '../../base/errors.ts';
import { nearest } from '../../base/near-miss.ts';
import type { DeviceList, Devices, DeviceView } from '../../devices/devices.ts';
import { isDeviceName } from '../../oci/device-name.ts';
import type { FoundDevice, Step } from './step.ts';

const classAnnotation = 'org.mobyproject.buildkit.device.class';
const openAnnotation = 'org.mobyproject.buildkit.device.autoallow';

export async function findStepDevices(
  devices: Pick<Devices, 'list' | 'specDirectories'>,
  wanted: Step['devices'],
): Promise<readonly FoundDevice[]> {
  // A RUN that asks for nothing, or for nodes, waits for nobody.
  const list = wanted.some(({ name }) => !name.startsWith('/')) ? await devices.list() : null;
  return wanted.flatMap((device): readonly FoundDevice[] => {
    if (list === null || device.name.startsWith('/')) return [{ ...device, word: device.name, isOpen: false }];
    return named(list, device, devices.specDirectories);
  });
}

/** Whether builds need nobody's leave for it. */
export function isOpenDevice(view: DeviceView): boolean {
  return /^(1|t|true)$/i.test(annotationsOf(view)[openAnnotation] ?? '');
}

export function annotationsOf({ description }: DeviceView): Readonly<Record<string, string>> {
  return { ...description.annotations, ...description.device.annotations };
}

function named(
  list: DeviceList,
  { name: word, required }: Step['devices'][number],
  directories: readonly string[],
): readonly FoundDevice[] {
  const found = byName(list, word);
  const all = found.length > 0 ? found : list.devices.filter((view) => annotationsOf(view)[classAnnotation] === word);
  if (all.length > 0) return all.map((view) => ({ name: view.name, word, required, isOpen: isOpenDevice(view) }));
  if (!required) return [];
  // Whoever grants it says why it is not there: no driver, for one.
  if (isDeviceName(word)) return [{ name: word, word, required, isOpen: false }];
  throw invalid(`required device ${JSON.stringify(word)} is not registered: ${whatThereIs(list, word, directories)}`);
}

function byName({ devices }: DeviceList, word: string): readonly DeviceView[] {
  const [kind = '', name = ''] = word.split('=', 2);
  if (!kind.includes('/')) return [];
  const ofKind = devices.filter((view) => view.description.kind === kind);
  if (name === '*') return ofKind;
  return name === '' ? ofKind.slice(0, 1) : ofKind.filter((view) => view.name === word);
}

function whatThereIs({ devices, problems }: DeviceList, word: string, directories: readonly string[]): string {
  const names = devices.flatMap((view) => [view.name, view.description.kind]);
  const near = nearest(word, names);
  const [problem] = problems;
  const places = `descriptions are read from ${directories.join(' and ') || 'nowhere'}${problem === undefined ? '' : `; ${problem.text}`}`;
  return near === null ? `${places}; the name of a device is vendor.com/class=name` : `did you mean ${near}? ${places}`;
}
