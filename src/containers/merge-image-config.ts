/** What a container inherits from its image, by Docker's rules. */
import type { ImageHealthcheck, ImageRunConfig } from '../oci/image-config.ts';
import type { ContainerConfig, Healthcheck } from './config.ts';

export function mergeImageConfig(given: ContainerConfig, image: ImageRunConfig): ContainerConfig {
  const healthcheck = mergeHealthcheck(given.Healthcheck, image.Healthcheck);
  const volumes = { ...image.Volumes, ...given.Volumes };
  const stopSignal = given.StopSignal || image.StopSignal;
  return {
    ...given,
    ...mergeCommand(given, image),
    User: given.User || (image.User ?? ''),
    WorkingDir: given.WorkingDir || (image.WorkingDir ?? ''),
    Env: mergeVariables(given.Env, image.Env ?? []),
    Labels: { ...inheritedLabels(image.Labels ?? {}), ...given.Labels },
    ...mergedPorts(given, image),
    ...(Object.keys(volumes).length > 0 ? { Volumes: volumes } : {}),
    ...(healthcheck === undefined ? {} : { Healthcheck: healthcheck }),
    ...(stopSignal ? { StopSignal: stopSignal } : {}),
    ...(given.Shell === undefined && image.Shell !== undefined ? { Shell: [...image.Shell] } : {}),
  };
}

/** An entrypoint of one's own discards the image's command; `--entrypoint ""` discards both and leaves none. */
function mergeCommand(given: ContainerConfig, image: ImageRunConfig): Pick<ContainerConfig, 'Entrypoint' | 'Cmd'> {
  const [first] = given.Entrypoint ?? [];
  if (given.Entrypoint?.length === 1 && first === '') return { Entrypoint: null, Cmd: given.Cmd };
  if (given.Entrypoint !== null && given.Entrypoint.length > 0) return { Entrypoint: given.Entrypoint, Cmd: given.Cmd };
  const noCommand = given.Cmd === null || given.Cmd.length === 0;
  return {
    Entrypoint: given.Entrypoint ?? copyList(image.Entrypoint),
    Cmd: noCommand ? copyList(image.Cmd) : given.Cmd,
  };
}

/** Labels that the engine obeys (`gantry.ttl`) are for whoever creates the container to say, not for who made its image (SECURITY.md row 15). */
function inheritedLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith('gantry.')));
}

function copyList(list: readonly string[] | undefined): string[] | null {
  return list === undefined ? null : [...list];
}

/** Docker's order: the request's variables, then those of the image that it does not name (`K` alone names one too: it takes it away). */
function mergeVariables(given: readonly string[], image: readonly string[]): string[] {
  const named = new Set(given.map(variableName));
  return [...given, ...image.filter((entry) => !named.has(variableName(entry)))];
}

function variableName(entry: string): string {
  const end = entry.indexOf('=');
  return end < 0 ? entry : entry.slice(0, end);
}

function mergedPorts(given: ContainerConfig, image: ImageRunConfig): Pick<ContainerConfig, 'ExposedPorts'> {
  const ports = { ...image.ExposedPorts, ...given.ExposedPorts };
  return Object.keys(ports).length > 0 ? { ExposedPorts: ports } : {};
}

function mergeHealthcheck(given: Healthcheck | undefined, image: ImageHealthcheck | undefined): Healthcheck | undefined {
  if (image === undefined) return given;
  const inherited: Healthcheck = { ...image, Test: [...(image.Test ?? [])] };
  if (given === undefined) return inherited;
  // A zero or an absent field of the request means "as the image says".
  const asked = Object.entries(given).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : Boolean(value)));
  return { ...inherited, ...Object.fromEntries(asked) };
}
