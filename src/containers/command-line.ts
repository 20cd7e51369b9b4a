/** Entrypoint and command as one argument list, after the merge with the image's configuration. */
import { invalid } from '../base/errors.ts';
import type { ContainerConfig } from './config.ts';

export function commandOf({ Entrypoint: entrypoint, Cmd: command }: Pick<ContainerConfig, 'Entrypoint' | 'Cmd'>): string[] {
  const argv = [...(entrypoint ?? []), ...(command ?? [])];
  if (argv[0] === undefined) throw invalid('No command specified');
  return argv;
}
