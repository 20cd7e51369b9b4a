/** The exit code of `run` and `start -a` when the start itself failed: told by the daemon's words, as Docker's client does. */
export function startExitCode(message: string): 125 | 126 | 127 {
  const text = message.toLowerCase();
  if (
    ['executable file not found', 'no such file or directory', 'system cannot find the file specified'].some((part) => text.includes(part))
  )
    return 127;
  return text.includes('permission denied') || text.includes('is a directory') ? 126 : 125;
}
