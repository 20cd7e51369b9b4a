/** `PortBindings`: which of the container's ports are published, and where. The same shape at create and in a change of a running container. */
import Type, { type Static } from 'typebox';

const optionalString = Type.Optional(Type.String());

export const PortBindingsSchema = Type.Record(Type.String(), Type.Array(Type.Object({ HostIp: optionalString, HostPort: optionalString })));

/** `80` (sent by Testcontainers) means `80/tcp`, in `ExposedPorts` and in `PortBindings`. */
export function normalisePortKey(key: string): string {
  return key.includes('/') ? key.toLowerCase() : `${key}/tcp`;
}

/** `80` and `80/tcp` in one request are one port. */
export function normalisePortBindings(bindings: Static<typeof PortBindingsSchema>): Record<string, { HostIp: string; HostPort: string }[]> {
  const byPort = new Map<string, { HostIp: string; HostPort: string }[]>();
  for (const [key, list] of Object.entries(bindings)) {
    const port = normalisePortKey(key);
    byPort.set(port, [...(byPort.get(port) ?? []), ...list.map(({ HostIp = '', HostPort = '' }) => ({ HostIp, HostPort }))]);
  }
  return Object.fromEntries(byPort);
}
