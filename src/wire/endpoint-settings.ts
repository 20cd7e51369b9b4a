/** `EndpointSettings`: what a container asks of one of its networks, at create and at connect. What Docker only fills in answers (addresses, ids) is dropped. */
import Type, { type Static } from 'typebox';
import { Int64, StringList, StringMap } from './decode.ts';

const optionalString = Type.Optional(Type.String());

export const EndpointSettingsSchema = Type.Object({
  IPAMConfig: Type.Optional(
    Type.Object({ IPv4Address: optionalString, IPv6Address: optionalString, LinkLocalIPs: Type.Optional(StringList) }),
  ),
  Links: Type.Optional(StringList),
  Aliases: Type.Optional(StringList),
  MacAddress: optionalString,
  DriverOpts: Type.Optional(StringMap),
  GwPriority: Type.Optional(Int64),
});
type EndpointSettingsRequest = Static<typeof EndpointSettingsSchema>;
export type NormalisedEndpointSettings = ReturnType<typeof normaliseEndpointSettings>;

/** Every field is there; a list or map that was not sent is null. Empty addresses, as the docker CLI sends them, are none. */
export function normaliseEndpointSettings(request: EndpointSettingsRequest) {
  return {
    IPAMConfig: request.IPAMConfig === undefined ? null : ipamConfig(request.IPAMConfig),
    Links: request.Links ?? null,
    Aliases: request.Aliases ?? null,
    MacAddress: request.MacAddress ?? '',
    DriverOpts: request.DriverOpts ?? null,
    GwPriority: request.GwPriority ?? 0,
  };
}

function ipamConfig({ IPv4Address = '', IPv6Address = '', LinkLocalIPs = [] }: NonNullable<EndpointSettingsRequest['IPAMConfig']>) {
  return {
    ...(IPv4Address === '' ? {} : { IPv4Address }),
    ...(IPv6Address === '' ? {} : { IPv6Address }),
    ...(LinkLocalIPs.length === 0 ? {} : { LinkLocalIPs }),
  };
}
