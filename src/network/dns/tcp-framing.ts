/** DNS over TCP (RFC 1035, 4.2.2): every message after its length in two bytes. */

export function frame(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(2 + message.length);
  framed.writeUInt16BE(message.length, 0);
  message.copy(framed, 2);
  return framed;
}

/** Takes the bytes as they come and calls with each whole message. False: one is announced that is longer than the limit; the stream is of no use any more. */
export function messageReader(limitBytes: number, whole: (message: Buffer) => void): (chunk: Buffer) => boolean {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 2) {
      const length = rest.readUInt16BE(0);
      if (length > limitBytes) return false;
      if (rest.length < 2 + length) return true;
      const message = rest.subarray(2, 2 + length);
      rest = rest.subarray(2 + length);
      whole(message);
    }
    return true;
  };
}
