/**
 * Who listens, in the kernel's own words (/proc/PID/net/tcp, tcp6, udp, udp6): one line a socket,
 *
 *   sl  local_address rem_address   st …
 *    0: 0100007F:1F90 00000000:0000 0A …     port in hex after the address; state 0A: TCP LISTEN, 07: UDP without a peer
 */
const states = { tcp: '0A', udp: '07' } as const;

export function isListening(table: string, port: number, protocol: keyof typeof states): boolean {
  const ending = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').some((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    return local.endsWith(ending) && state === states[protocol];
  });
}
