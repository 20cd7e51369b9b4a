import { closeSync, openSync, readSync } from 'node:fs';

/** So many random hex digits. From the kernel: loading Node's crypto takes 7 ms, which is a tenth of a build that is cached. */
export function randomName(digits: number): string {
  const bytes = Buffer.alloc(digits / 2);
  const source = openSync('/dev/urandom', 'r');
  try {
    readSync(source, bytes);
  } finally {
    closeSync(source);
  }
  return bytes.toString('hex');
}
