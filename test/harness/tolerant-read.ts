/** What may vanish while it is looked at (/proc, cgroups, directories under removal) reads as empty. */
import { readdirSync, readFileSync } from 'node:fs';

export function listOrEmpty(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

export function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
