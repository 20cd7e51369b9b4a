/**
 * `--chown`, and USER where WORKDIR makes a directory: `user[:group]`, by number or by the names that the tree's own passwd and group files have. A number alone is the group's too; a name
 * alone has the group that its line says. `root` needs no line. Unlike BuildKit, a name that nobody has is an error and not root.
 */
import { invalid } from '../../base/errors.ts';
import { resolveUser, type UserFiles } from '../../oci/users.ts';

export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/** `what`: of the instruction, for messages. */
export function resolveOwner(text: string, files: UserFiles, what: string): FileOwner {
  const colon = text.indexOf(':');
  const user = colon === -1 ? text : text.slice(0, colon);
  const group = colon === -1 ? '' : text.slice(colon + 1);
  const { uid, gid } = userOf(user, files, what);
  return { uid, gid: group === '' ? gid : groupOf(group, files, what) };
}

/** Whom WORKDIR's directories belong to: a name that nobody has is root there, as the image may be run by another user; numbers out of range are errors. */
export function resolveOwnerOrRoot(text: string, files: UserFiles, what: string): FileOwner {
  try {
    return resolveOwner(text, files, what);
  } catch (error) {
    if (/^[\d:]*$/.test(text)) throw error;
    return { uid: 0, gid: 0 };
  }
}

function userOf(user: string, files: UserFiles, what: string): FileOwner {
  if (user === '') return { uid: 0, gid: 0 };
  if (isNumber(user)) {
    const uid = idOf(user, files);
    return { uid, gid: uid };
  }
  try {
    return resolveUser(user, [], files);
  } catch (cause) {
    if (user === 'root') return { uid: 0, gid: 0 };
    throw invalid(`${what}: there is no user ${JSON.stringify(user)} in /etc/passwd of the image: add it first, or use a number`, {
      cause,
    });
  }
}

function groupOf(group: string, files: UserFiles, what: string): number {
  if (isNumber(group)) return idOf(group, files);
  try {
    return resolveUser(`0:${group}`, [], files).gid;
  } catch (cause) {
    if (group === 'root') return 0;
    throw invalid(`${what}: there is no group ${JSON.stringify(group)} in /etc/group of the image: add it first, or use a number`, {
      cause,
    });
  }
}

/** In range. */
function idOf(text: string, files: UserFiles): number {
  return resolveUser(`0:${text}`, [], files).gid;
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text);
}
