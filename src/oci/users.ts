/**
 * Who a container's process runs as: `user[:group]` by name or id, resolved against the text of the container's own /etc/passwd and /etc/group.
 * Pure: the caller reads the files (regular, capped, inside the root) and never the C library of host or image does (CVE-2019-14271).
 *
 * Rules of Docker: a numeric user or group is an id, whatever names the files hold (CVE-2026-46680); an id out of range is refused before it can wrap
 * around to root (CVE-2024-40635); the first matching line wins; supplementary groups come from /etc/group only when no group was given.
 * Stricter than Docker: a passwd or group line whose id is not a number is never taken for id 0.
 */
import { invalid } from '../base/errors.ts';

export interface UserFiles {
  /** Text of /etc/passwd; null when the image has none. */
  readonly passwd: string | null;
  readonly group: string | null;
}

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** The primary group first, as Docker sets them. */
  readonly additionalGids: readonly number[];
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const highestId = 2 ** 31 - 1;

export function resolveUser(user: string, groupAdd: readonly string[], files: UserFiles): ResolvedUser {
  const colon = user.indexOf(':');
  const userName = colon === -1 ? user : user.slice(0, colon);
  const groupName = colon === -1 ? '' : user.slice(colon + 1);
  const groups = parseGroup(files.group ?? '');
  const entry = passwdEntry(userName, parsePasswd(files.passwd ?? ''));
  const uid = checkId(entry?.uid ?? (userName === '' ? 0 : Number(userName)));
  const gid = checkId(groupName === '' ? (entry?.gid ?? 0) : groupId(groupName, groups));
  const memberships = groupName === '' && entry !== null ? groups.filter((group) => group.members.includes(entry.name)) : [];
  const additional = [gid, ...memberships.map((group) => checkId(group.gid)), ...groupAdd.map((name) => addedGroupId(name, groups))];
  return { uid, gid, additionalGids: [...new Set(additional)], home: entry?.home || '/' };
}

/** The line of the user, or null for an id without one. */
function passwdEntry(name: string, entries: readonly PasswdEntry[]): PasswdEntry | null {
  if (name === '') return entries.find((entry) => entry.uid === 0) ?? null;
  if (isNumeric(name)) {
    const uid = checkId(Number(name));
    return entries.find((entry) => entry.uid === uid) ?? null;
  }
  const found = entries.find((entry) => entry.name === name);
  if (found === undefined) throw invalid(`unable to find user ${name}: no matching entries in passwd file`);
  return found;
}

function groupId(name: string, groups: readonly GroupEntry[]): number {
  if (isNumeric(name)) return Number(name);
  const found = groups.find((group) => group.name === name);
  if (found === undefined) throw invalid(`unable to find group ${name}: no matching entries in group file`);
  return found.gid;
}

function addedGroupId(name: string, groups: readonly GroupEntry[]): number {
  if (isNumeric(name)) return checkId(Number(name));
  const found = groups.find((group) => group.name === name);
  if (found === undefined) throw invalid(`Unable to find group ${name}`);
  return checkId(found.gid);
}

/** Digits alone are an id, however many: 4294967296 must never reach the kernel as 0. */
function isNumeric(text: string): boolean {
  return /^[+-]?\d+$/.test(text);
}

function checkId(id: number): number {
  if (!Number.isInteger(id) || id < 0 || id > highestId) throw invalid(`uids and gids must be in range 0-${highestId}`);
  return id;
}

/** NaN for a field that is no number: `checkId` refuses it when the line is the one that matters. */
function idField(text: string | undefined): number {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

function parsePasswd(text: string): PasswdEntry[] {
  return linesOf(text).map((fields) => ({
    name: fields[0] ?? '',
    uid: idField(fields[2]),
    gid: idField(fields[3]),
    home: fields[5] ?? '',
  }));
}

function parseGroup(text: string): GroupEntry[] {
  return linesOf(text).map((fields) => ({
    name: fields[0] ?? '',
    gid: idField(fields[2]),
    members: (fields[3] ?? '').split(',').filter((member) => member !== ''),
  }));
}

function linesOf(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}
