/** `containerd.services.content.v1.Content`: blobs of an OCI layout in a folder of the client. */
import { bytes, int64, message, nested, text, uint32 } from '../protobuf/message.ts';

const Info = message({ digest: text(1), sizeBytes: int64(2) });

export const InfoRequest = message({ digest: text(1) });
export const InfoResponse = message({ info: nested(1, Info) });

export const ReadContentRequest = message({ digest: text(1), offset: int64(2), size: int64(3) });
export const ReadContentResponse = message({ offset: int64(1), data: bytes(2) });

export const writeActions = { write: 1, commit: 2 } as const;

export const WriteContentRequest = message({
  action: uint32(1),
  ref: text(2),
  total: int64(3),
  expected: text(4),
  offset: int64(5),
  data: bytes(6),
});
export const WriteContentResponse = message({ action: uint32(1), offset: int64(4), total: int64(5), digest: text(6) });
