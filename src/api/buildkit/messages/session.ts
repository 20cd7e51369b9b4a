/** Services that the client serves over its session: files, credentials, secrets, agents, uploads. */
import { bigInt64, bytes, fileName, int64, type MessageOf, map, message, optional, text, uint32 } from '../protobuf/message.ts';

/** `fsutil.types.Stat`. `mode` has the bits of Go's FileMode, `modifiedAt` counts nanoseconds since 1970. */
export const StatMessage = message({
  path: fileName(1),
  mode: uint32(2),
  uid: uint32(3),
  gid: uint32(4),
  sizeBytes: int64(5),
  modifiedAt: bigInt64(6),
  linkName: fileName(7),
  deviceMajor: int64(8),
  deviceMinor: int64(9),
  extendedAttributes: map(10, bytes),
});
export type StatValue = MessageOf<typeof StatMessage>;

/** `fsutil.types.Packet`. */
export const PacketMessage = message({ type: uint32(1), stat: optional(2, StatMessage), id: uint32(3), data: bytes(4) });
export type Packet = MessageOf<typeof PacketMessage>;

export const packetTypes = { stat: 0, request: 1, data: 2, end: 3, error: 4 } as const;

/** Bits of Go's FileMode beside the permissions. */
export const goModes = {
  directory: 2 ** 31,
  symbolicLink: 2 ** 27,
  device: 2 ** 26,
  pipe: 2 ** 25,
  socket: 2 ** 24,
  setuid: 2 ** 23,
  setgid: 2 ** 22,
  characterDevice: 2 ** 21,
  sticky: 2 ** 20,
} as const;

export const BytesMessage = message({ data: bytes(1) });

export const CredentialsRequest = message({ host: text(1) });
export const CredentialsResponse = message({ username: text(1), secret: text(2) });

export const GetSecretRequest = message({ id: text(1), annotations: map(2, text) });
export const GetSecretResponse = message({ data: bytes(1) });

export const CheckAgentRequest = message({ id: text(1) });

export const HealthCheckRequest = message({ service: text(1) });
export const HealthCheckResponse = message({ status: uint32(1) });
