/**
 * Files of a folder of the client, by `FileSync/DiffCopy`:
 *
 *     client ─▶ STAT(entry)… STAT()              all entries, sorted, parents first; their index from 0 is the id of each
 *     daemon ─▶ REQ(id)                          for each file whose bytes are wanted
 *     client ─▶ DATA(id, bytes)… DATA(id)        files may interleave
 *     daemon ─▶ FIN, client ─▶ FIN               and the call ends
 *
 * Bytes that nobody has taken yet are held for all files together up to a limit; beyond it the stream is not read.
 */
import { EngineError, invalid } from '../../../base/errors.ts';
import type { FileSync, SyncEntry } from '../../../build/build-client.ts';
import type { GrpcStream } from '../grpc/client.ts';
import { engineErrorOf, GrpcError } from '../grpc/status.ts';
import { type Packet, PacketMessage, packetTypes } from '../messages/session.ts';
import { ByteQueue, type QueueBudget } from './byte-queue.ts';
import type { Session } from './session.ts';
import { entryOf } from './stat-entry.ts';

export const fileSyncMethod = '/moby.filesync.v1.FileSync/DiffCopy';

export interface FolderRequest {
  /** As the client calls its folder: `context`, `dockerfile`, a named one. */
  readonly name: string;
  readonly excludePatterns?: readonly string[];
  /** Only these, and what they are links to. */
  readonly followPaths?: readonly string[];
  readonly sharedKey: string | null;
}

const batchEntries = 512;
const entryLimit = 2_000_000;

export function openFolder(session: Session, request: FolderRequest, signal: AbortSignal): FileSync {
  if (!session.supports(fileSyncMethod)) throw invalid('no local sources enabled: the client serves no files');
  const metadata = encodeMetadata({
    'dir-name': [request.name],
    'exclude-patterns': request.excludePatterns ?? [],
    followpaths: request.followPaths ?? [],
  });
  const stream = session.client.open(fileSyncMethod, PacketMessage, PacketMessage, { signal, metadata });
  return new Transfer(stream, request);
}

/** A list with anything but ASCII in it is escaped, all of it, and says so beside itself. */
export function encodeMetadata(lists: Readonly<Record<string, readonly string[]>>): Record<string, readonly string[]> {
  const encoded: Record<string, readonly string[]> = {};
  for (const [key, values] of Object.entries(lists)) {
    if (values.length === 0) continue;
    const plain = values.every((value) => /^[\x20-\x7e]*$/.test(value));
    encoded[key] = plain ? values : values.map((value) => encodeURIComponent(value.toWellFormed()).replaceAll('%20', '+'));
    if (!plain) encoded[`${key}-encoded`] = ['1'];
  }
  return encoded;
}

class Transfer implements FileSync {
  readonly sharedKey: string | null;
  readonly #stream: GrpcStream<Packet, Packet>;
  readonly #what: string;
  /** fsutil's ids of the entries that were given out. */
  readonly #ids: number[] = [];
  readonly #files = new Map<number, ByteQueue>();
  readonly #budget: QueueBudget = { heldBytes: 0, limitBytes: 8 * 1024 * 1024 };
  #pump: Promise<void> | null = null;
  #failure: Error | null = null;
  #finishing = false;

  constructor(stream: GrpcStream<Packet, Packet>, { name, sharedKey }: FolderRequest) {
    this.#stream = stream;
    this.sharedKey = sharedKey;
    this.#what = `cannot read the client's folder ${JSON.stringify(name)}`;
  }

  async *entries(): AsyncGenerator<readonly SyncEntry[], void, undefined> {
    let batch: SyncEntry[] = [];
    let id = 0;
    for (;;) {
      const packet = await this.#next();
      if (packet.type !== packetTypes.stat) throw invalid(`${this.#what}: it sent packet ${packet.type} while entries were to come`);
      if (packet.stat === null) break;
      if (id >= entryLimit) throw invalid(`${this.#what}: it has more than ${entryLimit} entries`);
      const entry = entryOf(packet.stat);
      if (entry !== null) {
        this.#ids.push(id);
        batch.push(entry);
      }
      id += 1;
      if (batch.length < batchEntries) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
    this.#pump = this.#receive();
  }

  async *read(index: number): AsyncGenerator<Uint8Array, void, undefined> {
    const id = this.#ids[index];
    if (id === undefined || this.#pump === null) throw new Error(`defect: file ${index} was asked for before the entries were read`);
    if (this.#failure !== null) throw this.#failure;
    if (this.#files.has(id)) throw new Error(`defect: file ${index} was asked for twice at once`);
    const queue = new ByteQueue(this.#budget);
    this.#files.set(id, queue);
    try {
      await this.#send({ type: packetTypes.request, id });
      yield* queue.take();
    } finally {
      queue.drop();
    }
  }

  async finish(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    this.#finishing = true;
    await this.#send({ type: packetTypes.end });
    this.#stream.endSending();
    await this.#pump;
    if (this.#failure !== null) throw this.#failure;
  }

  async #next(): Promise<Packet> {
    const { value, done } = await this.#guard(this.#stream.messages.next());
    if (done === true || value === undefined) throw new EngineError('unavailable', `${this.#what}: the client ended the transfer`);
    if (value.type === packetTypes.error) throw invalid(`${this.#what}: ${Buffer.from(value.data).toString('utf8')}`);
    return value;
  }

  #send(packet: Partial<Packet>): Promise<void> {
    return this.#guard(this.#stream.send(packet));
  }

  async #guard<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw error instanceof GrpcError ? engineErrorOf(error, this.#what) : error;
    }
  }

  /** Never rejects: the failure is everybody's who reads. */
  async #receive(): Promise<void> {
    try {
      for (;;) {
        const packet = await this.#next();
        if (packet.type === packetTypes.end) break;
        if (packet.type !== packetTypes.data) throw invalid(`${this.#what}: it sent packet ${packet.type} while bytes were to come`);
        await this.#deliver(packet);
      }
      if (!this.#finishing) throw new EngineError('unavailable', `${this.#what}: the client ended the transfer`);
      for await (const _ of this.#stream.messages);
    } catch (error) {
      this.#failure = error instanceof GrpcError ? engineErrorOf(error, this.#what) : (error as Error);
      for (const queue of this.#files.values()) queue.fail(this.#failure);
      this.#stream.cancel();
    }
  }

  async #deliver({ id, data }: Packet): Promise<void> {
    const queue = this.#files.get(id);
    if (queue === undefined) throw invalid(`${this.#what}: it sent bytes of file ${id}, which nobody asked for`);
    if (data.length > 0) await queue.push(data);
    else {
      queue.end();
      this.#files.delete(id);
    }
  }
}
