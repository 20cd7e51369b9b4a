/** `Config` of `POST /containers/create` (and of images): the part of a container that its image may preset. */
import Type, { type Static } from 'typebox';
import { Int64, KeySet, StringList, StringMap, Words } from './decode.ts';
import { normalisePortKey } from './port-bindings.ts';

export const HealthcheckSchema = Type.Object({
  Test: Type.Optional(StringList),
  Interval: Type.Optional(Int64),
  Timeout: Type.Optional(Int64),
  StartPeriod: Type.Optional(Int64),
  StartInterval: Type.Optional(Int64),
  Retries: Type.Optional(Int64),
});

export const containerConfigFields = {
  Hostname: Type.Optional(Type.String()),
  Domainname: Type.Optional(Type.String()),
  User: Type.Optional(Type.String()),
  AttachStdin: Type.Optional(Type.Boolean()),
  AttachStdout: Type.Optional(Type.Boolean()),
  AttachStderr: Type.Optional(Type.Boolean()),
  ExposedPorts: Type.Optional(KeySet),
  Tty: Type.Optional(Type.Boolean()),
  OpenStdin: Type.Optional(Type.Boolean()),
  StdinOnce: Type.Optional(Type.Boolean()),
  Env: Type.Optional(StringList),
  Cmd: Type.Optional(Words),
  Healthcheck: Type.Optional(HealthcheckSchema),
  ArgsEscaped: Type.Optional(Type.Boolean()),
  Image: Type.Optional(Type.String()),
  Volumes: Type.Optional(KeySet),
  WorkingDir: Type.Optional(Type.String()),
  Entrypoint: Type.Optional(Words),
  NetworkDisabled: Type.Optional(Type.Boolean()),
  MacAddress: Type.Optional(Type.String()),
  OnBuild: Type.Optional(StringList),
  Labels: Type.Optional(StringMap),
  StopSignal: Type.Optional(Type.String()),
  StopTimeout: Type.Optional(Int64),
  Shell: Type.Optional(Words),
};

export const ContainerConfigSchema = Type.Object(containerConfigFields);
export type ContainerConfigRequest = Static<typeof ContainerConfigSchema>;

/** Absent becomes Docker's zero value; optional fields stay absent. */
export function normaliseContainerConfig(request: ContainerConfigRequest) {
  return {
    Hostname: request.Hostname ?? '',
    Domainname: request.Domainname ?? '',
    User: request.User ?? '',
    AttachStdin: request.AttachStdin ?? false,
    AttachStdout: request.AttachStdout ?? false,
    AttachStderr: request.AttachStderr ?? false,
    ...(request.ExposedPorts === undefined ? {} : { ExposedPorts: keySet(request.ExposedPorts, normalisePortKey) }),
    Tty: request.Tty ?? false,
    OpenStdin: request.OpenStdin ?? false,
    StdinOnce: request.StdinOnce ?? false,
    Env: request.Env ?? [],
    Cmd: request.Cmd ?? null,
    ...(request.Healthcheck === undefined ? {} : { Healthcheck: request.Healthcheck }),
    ...(request.ArgsEscaped === undefined ? {} : { ArgsEscaped: request.ArgsEscaped }),
    Image: request.Image ?? '',
    ...(request.Volumes === undefined ? {} : { Volumes: keySet(request.Volumes, (path) => path) }),
    WorkingDir: request.WorkingDir ?? '',
    Entrypoint: request.Entrypoint ?? null,
    ...(request.NetworkDisabled === undefined ? {} : { NetworkDisabled: request.NetworkDisabled }),
    ...(request.OnBuild === undefined ? {} : { OnBuild: request.OnBuild }),
    Labels: request.Labels ?? {},
    ...(request.StopSignal === undefined || request.StopSignal === '' ? {} : { StopSignal: request.StopSignal }),
    ...(request.StopTimeout === undefined ? {} : { StopTimeout: request.StopTimeout }),
    ...(request.Shell === undefined ? {} : { Shell: request.Shell }),
  };
}

function keySet(set: Readonly<Record<string, object>>, normalise: (key: string) => string): Record<string, Record<string, never>> {
  return Object.fromEntries(Object.keys(set).map((key) => [normalise(key), {}]));
}
