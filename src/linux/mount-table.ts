/** What is mounted where in our mount namespace (/proc/self/mountinfo, see proc_pid_mountinfo(5)). */
import { readFile } from 'node:fs/promises';
import { decodeName } from '../base/byte-name.ts';

/** Mount points, one for each mount: two mounts on top of each other are listed twice. */
export async function readMountPoints(): Promise<readonly string[]> {
  return parseMountPoints(await readFile('/proc/self/mountinfo', 'latin1'));
}

export function parseMountPoints(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const field = line.split(' ')[4];
    return field === undefined ? [] : [unescaped(field)];
  });
}

/** Space, tab, newline and backslash stand as three octal digits. */
function unescaped(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return decodeName(Buffer.from(bytes, 'latin1'));
}
