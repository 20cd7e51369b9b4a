/** The context store: who gets which directory, and the way of the bytes into it. All work on files is done by worker threads (context-worker.ts). */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EngineError, invalid } from '../../base/errors.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import { makePipe } from '../../linux/pipe.ts';
import type { FileListTransfer } from '../build-client.ts';
import type { ContextJob, ContextPlaces, WrittenContext } from './context-job.ts';
import type { ContextStore, HeldContext, ReceiveProgress } from './context-store.ts';
import { ContextThreads } from './context-threads.ts';
import { type ContextLimits, defaultContextLimits } from './context-tree.ts';
import { fetchFile } from './fetch-file.ts';
import { fetchGit } from './fetch-git.ts';
import { fileListOf } from './file-sync.ts';
import { KeptContexts, type Place } from './kept-contexts.ts';
import { unchangedSmall } from './sync-context.ts';
import { counter, readWanted, relayInto, throughPipe, whileWanted } from './thread-pipes.ts';

export interface ContextStoreOptions {
  /** `<data-root>/build` */
  readonly root: string;
  readonly limits?: ContextLimits;
  /** Of contexts that stay for their next build. */
  readonly keepBytes?: number;
  /** Of the daemon: proxies (`HTTP_PROXY`, …) and PATH of git and the downloads. */
  readonly environment?: () => Readonly<Record<string, string | undefined>>;
  readonly logger?: Logger;
}

export interface OpenContextStore extends ContextStore {
  /** What was given up is gone from the disk. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** What is still being removed then is removed at the next boot. */
const CLOSE_MS = 3000;
const KEEP_BYTES = 5 * 1024 ** 3;
const LIST_BYTES = 256 * 1024 ** 2;

export async function createContextStore(options: ContextStoreOptions): Promise<OpenContextStore> {
  const { limits = defaultContextLimits, keepBytes = KEEP_BYTES, environment = () => process.env, logger = silentLogger } = options;
  const threads = new ContextThreads();
  const directory = join(options.root, 'contexts');
  const remove = async (names: readonly string[]) => {
    await threads.run({ kind: 'remove', parent: directory, names });
  };
  const kept = await KeptContexts.open({ directory, limitBytes: keepBytes, remove, logger });
  const run = <T>(job: ContextJob, signal: AbortSignal) => whileWanted(signal, (cancel) => threads.run<T>(job, cancel));

  /** `write` fills the directory; what it leaves behind when it fails goes. */
  async function held(sharedKey: string | null, write: (places: ContextPlaces) => Promise<WrittenContext>): Promise<HeldContext> {
    const place = await kept.acquire(sharedKey);
    try {
      return holder(place, await write(place.places));
    } catch (error) {
      await kept.giveUp(place).catch(() => {});
      throw error;
    }
  }

  function holder(place: Place, { digest, sizeBytes, withheld }: WrittenContext): HeldContext {
    let released: Promise<void> | null = null;
    const { files, index } = place.places;
    return {
      files: { kind: 'files', directory: files, index },
      digest,
      ...(withheld === undefined ? {} : { withheld }),
      release: () => {
        released ??= kept.release(place, sizeBytes);
        return released;
      },
    };
  }

  return {
    async receive(transfer, progress, signal) {
      signal.throwIfAborted();
      if (transfer.kind === 'tar') {
        const relay = counter(progress);
        relayInto(transfer.stream, relay);
        const { dockerfiles = [] } = transfer;
        return await held(null, (places) =>
          throughPipe(relay, signal, (readEnd, cancel) =>
            threads.run<WrittenContext>({ kind: 'unpack', places, readEnd, dockerfiles, limits }, cancel),
          ),
        );
      }
      const list = transfer.kind === 'sync' ? fileListOf(transfer.sync) : transfer.list;
      return await held(list.sharedKey, (places) => receiveList(places, list, progress, signal));
    },
    git: (request, signal) => fetchGit({ request, environment: environment(), limits, held, run, signal }),
    http: (request, signal) => fetchFile({ request, environment: environment(), limits, held, run, signal }),
    empty: () => held(null, (places) => threads.run({ kind: 'index', places, time: null, modes: 'kept', limits })),
    async newestTime({ index }) {
      if (index === null) throw new EngineError('system', 'the files have no index: they are no context');
      return await threads.run<number>({ kind: 'newest', index });
    },
    usage: async () => kept.usage(),
    prune: (request) => kept.prune(request),
    settled: () => kept.settled(),
    async close() {
      await Promise.race([kept.settled(), delay(CLOSE_MS, undefined, { ref: false })]);
      await threads.close();
    },
  };

  async function receiveList(
    places: ContextPlaces,
    list: FileListTransfer,
    progress: ReceiveProgress,
    signal: AbortSignal,
  ): Promise<WrittenContext> {
    const entries = await collect(list.entries(), signal);
    const unchanged = await unchangedSmall(places.index, entries, limits.entries);
    if (unchanged !== null) {
      await list.finish();
      return unchanged;
    }
    const relay = counter(progress);
    const answer = makePipe();
    void readWanted(answer.readEnd).then(
      (wanted) => (wanted.length === 0 ? relay.end() : relayInto(list.contents(wanted), relay)),
      (error: Error) => relay.destroy(error),
    );
    const written = await throughPipe(relay, signal, (readEnd, cancel) =>
      threads.run<WrittenContext>({ kind: 'sync', places, list: entries, writeEnd: answer.writeEnd, readEnd, limits }, cancel),
    );
    await list.finish();
    return written;
  }
}

async function collect(list: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of list) {
    signal.throwIfAborted();
    chunks.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes > LIST_BYTES) throw invalid(`the client's list of files is larger than ${LIST_BYTES} bytes, the limit`);
  }
  return chunks;
}
