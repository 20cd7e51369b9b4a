import { getSystemErrorMessage } from 'node:util';

/** `open /x: no such file or directory`: what failed on what and why, in the words of the C library, as every other tool says it. */
export function fileErrorText(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { errno, syscall, path } = thrown as NodeJS.ErrnoException;
  if (errno === undefined || syscall === undefined) return thrown.message;
  const call = syscall === 'access' ? 'open' : syscall;
  return `${call}${path === undefined ? '' : ` ${path}`}: ${getSystemErrorMessage(errno)}`;
}
