import type { SocketOptions } from 'node:dgram';

/** For sockets that are only told addresses: Node's own look-up would cost each message a turn of the event loop. Node calls it with (host, family, callback). */
export const literalLookup = ((address: string, family: number, found: (error: null, address: string, family: number) => void): void => {
  found(null, address, family);
}) as unknown as NonNullable<SocketOptions['lookup']>;
