/**
 * Contexts that come as the body of a request of their own: `POST /build?buildid=upload-request:ID` beside `POST /build?buildid=ID&remote=upload-request`, in any order. Each waits for the
 * other; the one with the body is answered when the body was read.
 */
import type { Readable } from 'node:stream';
import { conflict, EngineError } from '../../../base/errors.ts';

export interface Uploads {
  /** Resolves when somebody has read it. */
  offer(id: string, body: Readable, signal: AbortSignal): Promise<void>;
  take(id: string, signal: AbortSignal): Promise<Readable>;
}

const waitMs = 10_000;

interface Meeting {
  readonly body: PromiseWithResolvers<Readable>;
  offered: boolean;
}

export function createUploads(): Uploads {
  const meetings = new Map<string, Meeting>();
  const meetingOf = (id: string): Meeting => {
    const known = meetings.get(id);
    if (known !== undefined) return known;
    const meeting = { body: Promise.withResolvers<Readable>(), offered: false };
    meeting.body.promise.catch(() => {});
    meetings.set(id, meeting);
    const timer = setTimeout(() => {
      meetings.delete(id);
      meeting.body.reject(new EngineError('unavailable', `no upload of a build context came for build ${JSON.stringify(id.slice(0, 64))}`));
    }, waitMs);
    timer.unref();
    meeting.body.promise.then(
      () => clearTimeout(timer),
      () => {},
    );
    return meeting;
  };
  return {
    async offer(id, body, signal) {
      const meeting = meetingOf(id);
      if (meeting.offered) throw conflict(`the build context of build ${JSON.stringify(id.slice(0, 64))} is being uploaded already`);
      meeting.offered = true;
      const read = new Promise<void>((resolve, reject) => {
        body.once('end', resolve);
        body.once('close', resolve);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      meeting.body.resolve(body);
      await read.finally(() => meetings.delete(id));
    },
    async take(id, signal) {
      const aborted = new Promise<never>((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
      );
      aborted.catch(() => {});
      return await Promise.race([meetingOf(id).body.promise, aborted]);
    },
  };
}
