/** Bodies of `POST /networks/create`, `/networks/{id}/connect`, `/networks/{id}/disconnect` and of our `POST /containers/{id}/ports`. */
import Type, { type Static } from 'typebox';
import { invalid } from '../base/errors.ts';
import { decoderOf, StringMap } from './decode.ts';
import { EndpointSettingsSchema, normaliseEndpointSettings } from './endpoint-settings.ts';
import { normalisePortBindings, PortBindingsSchema } from './port-bindings.ts';

const optionalString = Type.Optional(Type.String());
const optionalBoolean = Type.Optional(Type.Boolean());

const IpamConfigSchema = Type.Object({
  Subnet: optionalString,
  IPRange: optionalString,
  Gateway: optionalString,
  AuxiliaryAddresses: Type.Optional(StringMap),
});

const decodeCreate = decoderOf(
  Type.Object({
    Name: optionalString,
    // Libraries of all ages send it; a name is never given twice here.
    CheckDuplicate: optionalBoolean,
    Driver: optionalString,
    Scope: optionalString,
    EnableIPv4: optionalBoolean,
    EnableIPv6: optionalBoolean,
    IPAM: Type.Optional(
      Type.Object({ Driver: optionalString, Options: Type.Optional(StringMap), Config: Type.Optional(Type.Array(IpamConfigSchema)) }),
    ),
    Internal: optionalBoolean,
    Attachable: optionalBoolean,
    Ingress: optionalBoolean,
    ConfigOnly: optionalBoolean,
    ConfigFrom: Type.Optional(Type.Object({ Network: optionalString })),
    Options: Type.Optional(StringMap),
    Labels: Type.Optional(StringMap),
  }),
);

export function decodeNetworkCreate(body: unknown, apiMinor: number) {
  const request = decodeCreate(body);
  return {
    name: request.Name ?? '',
    driver: request.Driver ?? '',
    internal: request.Internal ?? false,
    attachable: request.Attachable ?? false,
    ingress: request.Ingress ?? false,
    configOnly: request.ConfigOnly ?? false,
    configFrom: request.ConfigFrom?.Network || null,
    scope: request.Scope ?? '',
    // The switch came with 1.48; older daemons did not look at it.
    enableIPv4: apiMinor < 48 ? null : (request.EnableIPv4 ?? null),
    enableIPv6: request.EnableIPv6 ?? null,
    ipam: {
      driver: request.IPAM?.Driver ?? '',
      options: request.IPAM?.Options ?? {},
      config: (request.IPAM?.Config ?? []).map(ipamConfig),
    },
    options: request.Options ?? {},
    labels: request.Labels ?? {},
  };
}

/** What is empty was not given. */
function ipamConfig({ Subnet = '', IPRange = '', Gateway = '', AuxiliaryAddresses = {} }: Static<typeof IpamConfigSchema>) {
  return {
    ...(Subnet === '' ? {} : { Subnet }),
    ...(IPRange === '' ? {} : { IPRange }),
    ...(Gateway === '' ? {} : { Gateway }),
    ...(Object.keys(AuxiliaryAddresses).length === 0 ? {} : { AuxiliaryAddresses }),
  };
}

const decodeConnect = decoderOf(Type.Object({ Container: optionalString, EndpointConfig: Type.Optional(EndpointSettingsSchema) }));

export function decodeNetworkConnect(body: unknown) {
  const { Container, EndpointConfig } = decodeConnect(body);
  return { container: containerName(Container), settings: normaliseEndpointSettings(EndpointConfig ?? {}) };
}

const decodeDisconnect = decoderOf(Type.Object({ Container: optionalString, Force: optionalBoolean }));

export function decodeNetworkDisconnect(body: unknown) {
  const { Container, Force } = decodeDisconnect(body);
  return { container: containerName(Container), force: Force ?? false };
}

function containerName(name: string | undefined): string {
  if (name === undefined || name === '') throw invalid('invalid request body: Container must name a container');
  return name;
}

const decodePorts = decoderOf(Type.Object({ Add: Type.Optional(PortBindingsSchema), Remove: Type.Optional(PortBindingsSchema) }));

export function decodePortChange(body: unknown) {
  const { Add, Remove } = decodePorts(body);
  return { add: normalisePortBindings(Add ?? {}), remove: normalisePortBindings(Remove ?? {}) };
}
