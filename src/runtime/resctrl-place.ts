/** The Intel RDT group of one container of the native runtime, noted in its runtime directory: execs join it, and the daemon that learns of the end removes it. */
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { closeResctrlGroup, openResctrlGroup, type ResctrlPlace } from '../linux/resctrl.ts';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';

/** Files to join by. */
export async function takeResctrlPlace(id: string, spec: RuntimeSpec, directory: string, root: string): Promise<readonly string[]> {
  const { intelRdt } = spec.linux;
  if (intelRdt === undefined) return [];
  const place = await openResctrlGroup(id, intelRdt, root);
  await writeFile(placeFile(directory), JSON.stringify(place), { mode: 0o600 });
  return place.joinFiles;
}

export async function resctrlJoinFiles(directory: string): Promise<readonly string[]> {
  return (await readPlace(directory))?.joinFiles ?? [];
}

/** Twice is once. */
export async function leaveResctrlPlace(directory: string): Promise<void> {
  const place = await readPlace(directory);
  if (place === null) return;
  await closeResctrlGroup(place.made);
  await rm(placeFile(directory), { force: true });
}

async function readPlace(directory: string): Promise<ResctrlPlace | null> {
  // The usual case costs one look.
  if (!existsSync(placeFile(directory))) return null;
  return JSON.parse(await readFile(placeFile(directory), 'utf8')) as ResctrlPlace;
}

function placeFile(directory: string): string {
  return join(directory, 'resctrl.json');
}
