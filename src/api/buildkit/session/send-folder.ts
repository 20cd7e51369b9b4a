/**
 * `-o type=local`: the builder's tar becomes files of the client, by `FileSend/DiffCopy`, where the daemon is the sender of file-sync.ts's protocol. The client says which files it wants only
 * after it has heard of all of them, and not in their order, so the bytes wait in a file of the daemon, which has no name from the moment it is open.
 */

import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { invalid } from '../../../base/errors.ts';
import { type ArchiveFile, readArchiveFiles } from '../../../build/output/archive-files.ts';
import type { GrpcStream } from '../grpc/client.ts';
import { engineErrorOf, GrpcError } from '../grpc/status.ts';
import { type Packet, packetTypes, type StatValue } from '../messages/session.ts';
import { archiveSink } from './archive-sink.ts';
import { comparePaths, goModeOf, unixNanoseconds } from './stat-entry.ts';

/** An entry, and where its bytes are in the spool. */
interface Spooled {
  readonly type: ArchiveFile['type'];
  readonly stat: StatValue;
  readonly offset: number;
}

const chunkBytes = 32 * 1024;
const what = "cannot write the client's output folder";

/** Finished when the client has written everything. */
export function folderWriter(call: GrpcStream<Packet, Packet>, scratchDirectory: string): Writable {
  return archiveSink(
    256 * 1024,
    (archive) => send(call, archive, scratchDirectory),
    () => call.cancel(),
  );
}

async function send(call: GrpcStream<Packet, Packet>, archive: AsyncIterable<Uint8Array>, scratchDirectory: string): Promise<void> {
  const path = join(scratchDirectory, `output-${randomUUID()}`);
  await using spool = await open(path, 'wx+', 0o600);
  await unlink(path);
  try {
    const entries = inOrder(await fill(spool, archive));
    for (const { stat } of entries) await call.send({ type: packetTypes.stat, stat });
    await call.send({ type: packetTypes.stat });
    await serve(call, spool, entries);
  } catch (error) {
    call.cancel();
    throw error instanceof GrpcError ? engineErrorOf(error, what) : error;
  }
}

async function fill(spool: FileHandle, archive: AsyncIterable<Uint8Array>): Promise<Map<string, Spooled>> {
  const entries = new Map<string, Spooled>();
  let end = 0;
  for await (const { file, content } of readArchiveFiles(archive)) {
    const offset = end;
    for await (const chunk of content) {
      await spool.write(chunk, 0, chunk.length, end);
      end += chunk.length;
    }
    if (file.path !== '') entries.set(file.path, { type: file.type, stat: statOf(file), offset });
  }
  return entries;
}

function statOf(file: ArchiveFile): StatValue {
  return {
    path: file.path,
    mode: goModeOf(file.type, file.mode),
    uid: file.uid,
    gid: file.gid,
    sizeBytes: file.sizeBytes,
    modifiedAt: unixNanoseconds(file.modifiedAt),
    linkName: file.linkTarget,
    deviceMajor: file.deviceMajor,
    deviceMinor: file.deviceMinor,
    extendedAttributes: file.extendedAttributes,
  };
}

/** As the receiver wants them: sorted, no parent missing, and of hard links the first one in order is the file. */
function inOrder(entries: ReadonlyMap<string, Spooled>): readonly Spooled[] {
  const all = new Map(entries);
  for (const { stat } of entries.values())
    for (let at = stat.path.indexOf('/'); at !== -1; at = stat.path.indexOf('/', at + 1)) {
      const parent = stat.path.slice(0, at);
      if (!all.has(parent)) all.set(parent, { type: 'directory', stat: folderStat(parent, stat.modifiedAt), offset: 0 });
    }
  const sorted = [...all.values()].sort((a, b) => comparePaths(a.stat.path, b.stat.path));
  return withFirstLinks(sorted, entries);
}

function folderStat(path: string, modifiedAt: bigint): StatValue {
  return {
    path,
    mode: goModeOf('directory', 0o755),
    uid: 0,
    gid: 0,
    sizeBytes: 0,
    modifiedAt,
    linkName: '',
    deviceMajor: 0,
    deviceMinor: 0,
    extendedAttributes: new Map(),
  };
}

/** A file may come after a link to it in this order. */
function withFirstLinks(sorted: readonly Spooled[], entries: ReadonlyMap<string, Spooled>): readonly Spooled[] {
  const firstOf = new Map<string, string>();
  return sorted.map((spooled) => {
    if (spooled.type !== 'file' && spooled.type !== 'hard-link') return spooled;
    const { path, linkName } = spooled.stat;
    const name = spooled.type === 'file' ? path : linkName;
    const original = entries.get(name);
    if (original?.type !== 'file') throw invalid(`${what}: ${JSON.stringify(path)} is a link to ${JSON.stringify(name)}, which is no file`);
    const first = firstOf.get(name);
    if (first !== undefined) return { ...spooled, stat: { ...original.stat, path, linkName: first, sizeBytes: 0 } };
    firstOf.set(name, path);
    return { ...original, stat: { ...original.stat, path } };
  });
}

/** Until the client has all that it wants. One request after the other: the client is the one that waits. */
async function serve(call: GrpcStream<Packet, Packet>, spool: FileHandle, entries: readonly Spooled[]): Promise<void> {
  for await (const { type, id, data } of call.messages) {
    if (type === packetTypes.request) await sendFile(call, spool, entries, id);
    else if (type === packetTypes.end) {
      await call.send({ type: packetTypes.end });
      call.endSending();
    } else if (type === packetTypes.error) throw invalid(`${what}: ${Buffer.from(data).toString('utf8')}`);
    else throw invalid(`${what}: the client sent packet ${type}`);
  }
}

async function sendFile(call: GrpcStream<Packet, Packet>, spool: FileHandle, entries: readonly Spooled[], id: number): Promise<void> {
  const entry = entries[id];
  if (entry === undefined) throw invalid(`${what}: the client asked for entry ${id} of ${entries.length}`);
  const end = entry.offset + entry.stat.sizeBytes;
  for (let at = entry.offset; at < end; ) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - at));
    const { bytesRead } = await spool.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) throw new Error('defect: the spool is shorter than what was written to it');
    await call.send({ type: packetTypes.data, id, data: chunk.subarray(0, bytesRead) });
    at += bytesRead;
  }
  await call.send({ type: packetTypes.data, id });
}
