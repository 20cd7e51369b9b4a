/** The environment of a container's process: Docker's defaults, those of links, then the image's variables, then the user's in place. */

import { defaultPath } from '../oci/image-config.ts';

export interface EnvironmentInput {
  /** The container's `Env`, already merged with the image's by `mergeEnvironment`. */
  readonly env: readonly string[];
  /** What links add: it may be overridden like Docker's defaults. */
  readonly links?: readonly string[];
  readonly hostname: string;
  readonly tty: boolean;
  /** From the container's /etc/passwd; used when nobody sets HOME. */
  readonly home: string;
}

export function environmentOf(input: EnvironmentInput): string[] {
  const defaults = [`PATH=${defaultPath}`, `HOSTNAME=${input.hostname}`, ...(input.tty ? ['TERM=xterm'] : []), ...(input.links ?? [])];
  const set = overlay(defaults, input.env);
  const shown = [...set.values()].filter((entry) => entry.includes('='));
  return shown.some((entry) => entry.startsWith('HOME=')) ? shown : [...shown, `HOME=${input.home}`];
}

/** What `Config.Env` becomes at create: the image's variables in order, overridden in place, new ones after. `K` alone stays: it removes `K` at start. */
export function mergeEnvironment(image: readonly string[], user: readonly string[]): string[] {
  return [...overlay(image, user).values()];
}

function overlay(base: readonly string[], over: readonly string[]): Map<string, string> {
  // A Map, not an object: `__proto__` is a variable name like any other.
  const set = new Map(base.map((entry) => [nameOf(entry), entry]));
  for (const entry of over) set.set(nameOf(entry), entry);
  return set;
}

function nameOf(entry: string): string {
  const equals = entry.indexOf('=');
  return equals === -1 ? entry : entry.slice(0, equals);
}
