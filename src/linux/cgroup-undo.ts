/**
 * What puts limits back as they were when one of several cannot be set. Files answer a read in other words than they take in a write; this knows the difference.
 * Pure.
 */

/** What has to be written to the file so that it says again what it said; null: its value cannot be told. `written` is what is about to be written. */
export function formerValue(file: string, text: string, written: string): string | null {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const device = /^(\d+:\d+) /.exec(written)?.[1];
  if (device !== undefined) return formerDeviceValue(name, text, device, written);
  if (name === 'memory.oom_control') return /^oom_kill_disable (\d)/m.exec(text)?.[1] ?? null;
  // Weights: `default 100`, then lines of devices.
  const value = (text.split('\n')[0] ?? '').replace(/^default /, '').trim();
  // An empty write is none; a line break alone empties a cpuset.
  return value === '' ? '\n' : value;
}

/** Files of lines `8:0 …`: the line of this device, or what lifts a limit that it had not. */
function formerDeviceValue(name: string, text: string, device: string, written: string): string {
  const line = text.split('\n').find((each) => each.startsWith(`${device} `));
  if (name !== 'io.max') return line?.trim() ?? (name.endsWith('weight') ? `${device} default` : `${device} 0`);
  const key = /^\S+ (\w+)=/.exec(written)?.[1] ?? '';
  const former = new RegExp(` ${key}=(\\S+)`).exec(line ?? '')?.[1] ?? 'max';
  return `${device} ${key}=${former}`;
}
