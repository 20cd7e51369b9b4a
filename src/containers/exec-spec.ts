/** The spec of an exec: the container's, with the process that was asked for. Pure. */
import type { RuntimeSpec } from '../oci/runtime-spec.ts';
import type { ResolvedUser } from '../oci/users.ts';
import type { ContainerConfig, ExecConfig, HostConfig } from './config.ts';
import { mergeEnvironment } from './environment.ts';
import { type RuntimeSpecInput, runtimeSpec } from './runtime-spec.ts';

export interface ExecSpecInput {
  readonly container: RuntimeSpecInput;
  readonly exec: ExecConfig;
  /** `exec.User`, or the container's. */
  readonly user: ResolvedUser;
  /** [height, width]; 0: unknown. */
  readonly consoleSize: readonly [number, number];
}

export function execSpec({ container, exec, user, consoleSize }: ExecSpecInput): RuntimeSpec {
  const [height, width] = consoleSize;
  const config: ContainerConfig = {
    ...container.config,
    Entrypoint: null,
    Cmd: exec.Cmd,
    Env: mergeEnvironment(container.config.Env, exec.Env),
    Tty: exec.Tty,
    WorkingDir: exec.WorkingDir || container.config.WorkingDir,
  };
  // `--privileged` gives an exec every capability; the container's filter stays, as in Docker.
  const hostConfig: HostConfig = {
    ...container.hostConfig,
    ConsoleSize: [height, width],
    Privileged: container.hostConfig.Privileged || exec.Privileged,
  };
  const { process } = runtimeSpec({ ...container, config, hostConfig, user });
  return { ...runtimeSpec(container), process };
}
