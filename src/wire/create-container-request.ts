/** The body of `POST /containers/create`: a `Config` with `HostConfig` and `NetworkingConfig` beside its fields. */
import Type, { type Static } from 'typebox';
import { invalid, notImplemented } from '../base/errors.ts';
import { containerConfigFields, normaliseContainerConfig } from './container-config-request.ts';
import { decoderOf } from './decode.ts';
import { EndpointSettingsSchema, type NormalisedEndpointSettings, normaliseEndpointSettings } from './endpoint-settings.ts';
import { HostConfigSchema, normaliseHostConfig } from './host-config-request.ts';

const CreateContainerSchema = Type.Object({
  ...containerConfigFields,
  HostConfig: Type.Optional(HostConfigSchema),
  NetworkingConfig: Type.Optional(Type.Object({ EndpointsConfig: Type.Optional(Type.Record(Type.String(), EndpointSettingsSchema)) })),
});
type CreateContainerRequest = Static<typeof CreateContainerSchema>;
type Endpoints = Readonly<Record<string, NormalisedEndpointSettings>>;

const decode = decoderOf(CreateContainerSchema);

export function decodeCreateContainer(body: unknown, apiMinor: number) {
  const request = decode(body);
  refuseUnsupported(request);
  const hostConfig = normaliseHostConfig(request.HostConfig ?? {});
  const sent = endpointsOf(request, apiMinor);
  const { endpoints, warnings } = withMacAddress(sent, request.MacAddress ?? '', networkOfMode(hostConfig.NetworkMode), apiMinor);
  return {
    config: normaliseContainerConfig(request),
    // Before 1.42 the size was sent with rubbish in it and not used.
    hostConfig: apiMinor < 42 ? { ...hostConfig, ConsoleSize: [0, 0] as [number, number] } : hostConfig,
    endpoints,
    warnings,
  };
}

/** Fields of Docker's API that have no place in a container here; all others are judged by `containers`. */
function refuseUnsupported(request: CreateContainerRequest): void {
  const host = request.HostConfig ?? {};
  if ((host.KernelMemory ?? 0) !== 0)
    throw notImplemented('HostConfig.KernelMemory is not supported: kernels no longer have this limit, use Memory');
  if ((host.KernelMemoryTCP ?? 0) !== 0) throw notImplemented('HostConfig.KernelMemoryTCP is not supported: use Memory');
}

/** The docker CLI sends a whole endpoint under the name `default`, which is the network `bridge`. */
function endpointsOf({ NetworkingConfig }: CreateContainerRequest, apiMinor: number): Endpoints {
  const sent = Object.entries(NetworkingConfig?.EndpointsConfig ?? {});
  if (apiMinor < 44 && sent.length > 1)
    throw invalid(`Container cannot be connected to network endpoints: ${sent.map(([name]) => name).join(', ')}`);
  return Object.fromEntries(sent.map(([name, settings]) => [networkOfMode(name), normaliseEndpointSettings(settings)]));
}

function networkOfMode(mode: string): string {
  return mode === '' || mode === 'default' ? 'bridge' : mode;
}

/**
 * Before 1.44 a container had one MAC address, `Config.MacAddress`, and those of endpoints were not looked at. Since then it is an old way to say the first
 * endpoint's.
 */
function withMacAddress(
  sent: Endpoints,
  containerWide: string,
  network: string,
  apiMinor: number,
): { readonly endpoints: Endpoints; readonly warnings: readonly string[] } {
  const endpoints = apiMinor < 44 ? mapValues(sent, (settings) => ({ ...settings, MacAddress: '' })) : sent;
  if (containerWide === '') return { endpoints, warnings: [] };
  const hasOwnNetwork = network !== 'none' && network !== 'host' && !network.startsWith('container:');
  if (!hasOwnNetwork && apiMinor < 44) throw invalid('conflicting options: mac-address and the network mode');
  const warnings =
    apiMinor < 44 ? [] : ['The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.'];
  if (!hasOwnNetwork) return { endpoints, warnings };
  const own = endpoints[network] ?? normaliseEndpointSettings({});
  if (own.MacAddress !== '' && own.MacAddress !== containerWide) {
    throw invalid('the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty');
  }
  return { endpoints: { ...endpoints, [network]: { ...own, MacAddress: containerWide } }, warnings };
}

function mapValues<T>(record: Readonly<Record<string, T>>, change: (value: T) => T): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
