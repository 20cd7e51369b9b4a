/** `80` (sent by Testcontainers) means `80/tcp`, in `ExposedPorts` and in `PortBindings`. */
export function normalisePortKey(key: string): string {
  return key.includes('/') ? key : `${key}/tcp`;
}
