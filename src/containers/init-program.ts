/** `--init`: a small program as process 1 of a container, which reaps what is orphaned and passes signals on to the container's own. */
import { EngineError } from '../base/errors.ts';
import type { HostConfig } from './config.ts';

export interface InitProgram {
  /** On the host, static; null: it is not built. */
  readonly program: string | null;
  /** For containers that don't say. */
  readonly byDefault: boolean;
}

/** Where containers see it. */
export const initInContainer = '/sbin/docker-init';

/** Its path on the host; null: the container has none. Without a PID namespace of its own there is somebody else's process 1 already. */
export function initOf(
  { program, byDefault }: InitProgram,
  { Init: asked, PidMode: pid }: Pick<HostConfig, 'Init' | 'PidMode'>,
): string | null {
  if (pid !== '' || !(asked ?? byDefault)) return null;
  if (program === null) throw new EngineError('unavailable', 'the program gantry-init is not built: run ./gantry once, or make -C native');
  return program;
}
