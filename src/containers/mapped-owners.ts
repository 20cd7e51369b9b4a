/**
 * Whose the files of a mount seem to be in the container (`--mount …,uid=,gid=` and `idmap=`): the texts, and the mappings that the kernel is given. Pure.
 *
 *   owner=UID:GID            who owns the source and UID:GID change places, everybody else stays: a container's own user may write, and the host's owner remains
 *   uids=A-B-N#…;gids=A-B-N  N owners from A of the file system are seen as those from B; all others are nobody, who cannot write
 */
import { invalid } from '../base/errors.ts';
import type { IdMapping, Mount } from '../oci/runtime-spec.ts';

export type MappedOwners =
  | { readonly kind: 'swap'; readonly uid: number; readonly gid: number }
  | { readonly kind: 'ranges'; readonly uids: readonly IdMapping[]; readonly gids: readonly IdMapping[] };

type SpecMappings = Pick<Mount, 'uidMappings' | 'gidMappings'>;

/** Ids are 0 to 4294967294. */
const allIds = 2 ** 32 - 1;

export function parseIdmap(text: string): MappedOwners {
  const swap = /^owner=(\d{1,10}):(\d{1,10})$/.exec(text);
  if (swap !== null) return { kind: 'swap', uid: idOf(text, swap[1]), gid: idOf(text, swap[2]) };
  const ranges: { uids: readonly IdMapping[]; gids: readonly IdMapping[] } = { uids: [], gids: [] };
  for (const part of text.split(';')) {
    const [key, list] = [part.slice(0, 5), part.slice(5)];
    if (key === 'uids=' && ranges.uids.length === 0) ranges.uids = list.split('#').map((range) => parseRange(text, range));
    else if (key === 'gids=' && ranges.gids.length === 0) ranges.gids = list.split('#').map((range) => parseRange(text, range));
    else throw invalidIdmap(text);
  }
  return { kind: 'ranges', ...ranges };
}

/** `owner`: of the source, as the host has it. */
export function specMappings(owners: MappedOwners, owner: { readonly uid: number; readonly gid: number }): SpecMappings {
  if (owners.kind === 'ranges') return { uidMappings: owners.uids, gidMappings: owners.gids };
  if (owners.uid === owner.uid && owners.gid === owner.gid) return {};
  return { uidMappings: swapped(owner.uid, owners.uid), gidMappings: swapped(owner.gid, owners.gid) };
}

function swapped(a: number, b: number): readonly IdMapping[] {
  const [low, high] = [Math.min(a, b), Math.max(a, b)];
  if (low === high) return [{ containerID: 0, hostID: 0, size: allIds }];
  return [
    { containerID: 0, hostID: 0, size: low },
    { containerID: low, hostID: high, size: 1 },
    { containerID: low + 1, hostID: low + 1, size: high - low - 1 },
    { containerID: high, hostID: low, size: 1 },
    { containerID: high + 1, hostID: high + 1, size: allIds - high - 1 },
  ].filter(({ size }) => size > 0);
}

function parseRange(text: string, range: string): IdMapping {
  const match = /^(\d{1,10})-(\d{1,10})-(\d{1,10})$/.exec(range);
  const [containerID, hostID, size] = [Number(match?.[1]), Number(match?.[2]), Number(match?.[3])];
  if (match === null || size === 0 || containerID + size > allIds || hostID + size > allIds) throw invalidIdmap(text);
  return { containerID, hostID, size };
}

function idOf(text: string, digits = ''): number {
  const id = Number(digits);
  if (id > 2 ** 31 - 1) throw invalidIdmap(text);
  return id;
}

function invalidIdmap(text: string): Error {
  return invalid(`invalid idmap "${text}": use uids=INSIDE-OUTSIDE-COUNT, several joined by #, then ;gids=…; or owner=UID:GID`);
}
