/** The names in an open directory, any bytes (`base/byte-name.ts`), in an order that depends on nothing but the names. */
import { opendirSync } from 'node:fs';
import { decodeName } from '../base/byte-name.ts';

export function readNames(directory: number): string[] {
  const stream = opendirSync(`/proc/self/fd/${directory}`, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 });
  try {
    const names: string[] = [];
    for (let entry = stream.readSync(); entry !== null; entry = stream.readSync()) names.push(decodeName(entry.name as unknown as Buffer));
    return names.sort();
  } finally {
    stream.closeSync();
  }
}
