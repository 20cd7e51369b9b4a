/**
 * Docker's text around the runtime's reason. `docker run` finds its exit code in it: 127 for `executable file not found` or `no such file or directory`,
 * 126 for `permission denied` or `is a directory`, else 125.
 */
import type { StartError } from '../runtime/runtime.ts';

const hints = {
  127: { pattern: /executable file not found|no such file or directory/, text: 'no such file or directory' },
  126: { pattern: /permission denied|is a directory/, text: 'permission denied' },
} as const;

export function startErrorText(error: StartError): string {
  return wrapped(error, 'failed to create task for container: failed to create shim task: OCI runtime create failed');
}

export function execErrorText(error: StartError): string {
  return wrapped(error, 'OCI runtime exec failed: exec failed');
}

/** The native runtime says it in Docker's words already; others give the bare reason. */
function wrapped(error: StartError, outer: string): string {
  if (error.message.startsWith(outer)) return error.message;
  const reason = error.message.replace(/: unknown$/, '');
  const hint = error.exitCode === 128 ? null : hints[error.exitCode];
  const hinted = hint === null || hint.pattern.test(reason) ? reason : `${reason}: ${hint.text}`;
  return `${outer}: unable to start container process: ${hinted}: unknown`;
}
