/** The body of `POST /containers/create`: a `Config` with `HostConfig` and `NetworkingConfig` beside its fields. */
import Type, { type Static } from 'typebox';
import { notImplemented } from '../base/errors.ts';
import { containerConfigFields, normaliseContainerConfig } from './container-config-request.ts';
import { decoderOf } from './decode.ts';
import { HostConfigSchema, normaliseHostConfig } from './host-config-request.ts';

const CreateContainerSchema = Type.Object({
  ...containerConfigFields,
  HostConfig: Type.Optional(HostConfigSchema),
  NetworkingConfig: Type.Optional(
    // What an endpoint asks for is judged by `containers`, until networks exist: it passes as it was sent.
    Type.Object({ EndpointsConfig: Type.Optional(Type.Record(Type.String(), Type.Unknown())) }),
  ),
});
type CreateContainerRequest = Static<typeof CreateContainerSchema>;

const decode = decoderOf(CreateContainerSchema);

export function decodeCreateContainer(body: unknown, apiMinor: number) {
  const request = decode(body);
  refuseUnsupported(request);
  const hostConfig = normaliseHostConfig(request.HostConfig ?? {});
  return {
    config: normaliseContainerConfig(request),
    // Before 1.42 the size was sent with rubbish in it and not used.
    hostConfig: apiMinor < 42 ? { ...hostConfig, ConsoleSize: [0, 0] as [number, number] } : hostConfig,
    endpoints: request.NetworkingConfig?.EndpointsConfig ?? {},
  };
}

/** Fields of Docker's API that have no place in a container here; all others are judged by `containers`. */
function refuseUnsupported(request: CreateContainerRequest): void {
  const host = request.HostConfig ?? {};
  if ((request.MacAddress ?? '') !== '') throw notImplemented('MacAddress is not supported yet: it comes with networks');
  if ((host.KernelMemory ?? 0) !== 0)
    throw notImplemented('HostConfig.KernelMemory is not supported: kernels no longer have this limit, use Memory');
  if ((host.KernelMemoryTCP ?? 0) !== 0) throw notImplemented('HostConfig.KernelMemoryTCP is not supported: use Memory');
}
