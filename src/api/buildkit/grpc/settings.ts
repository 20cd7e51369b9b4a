/** HTTP/2's settings, for both directions: windows that let files through, limits on what the other side may make us hold. */
import type { Http2Session } from 'node:http2';
import { headerLimitBytes } from './status.ts';

const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 8 * 1024 * 1024;

export const connectionOptions = {
  settings: { initialWindowSize: streamWindowBytes, enablePush: false, maxConcurrentStreams: 256, maxHeaderListSize: headerLimitBytes },
  maxSendHeaderBlockLength: headerLimitBytes,
  /** MiB, of one connection. */
  maxSessionMemory: 64,
} as const;

export function widenWindow(session: Http2Session): void {
  session.setLocalWindowSize(connectionWindowBytes);
}
