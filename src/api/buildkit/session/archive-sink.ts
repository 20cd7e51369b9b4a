/** An archive that somebody writes, and work that reads it as it comes: finished when the work is, failed with its error. */
import { PassThrough, Writable } from 'node:stream';

/** `bufferBytes`: how far the writer may be ahead. `cancel`: the writer gave up. */
export function archiveSink(
  bufferBytes: number,
  read: (archive: PassThrough) => Promise<unknown>,
  cancel: () => void = () => {},
): Writable {
  const archive = new PassThrough({ highWaterMark: bufferBytes });
  const done = read(archive);
  // Told by `final` or by the next write.
  done.catch((error) => archive.destroy(error));
  archive.on('error', () => {});
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      if (archive.destroyed) done.then(() => callback(new Error('defect: the archive was ended early')), callback);
      else if (archive.write(chunk)) callback();
      else waitForRoom(archive, callback);
    },
    final(callback) {
      archive.end();
      done.then(() => callback(), callback);
    },
    destroy(error, callback) {
      archive.destroy(error ?? undefined);
      cancel();
      callback(error);
    },
  });
}

function waitForRoom(archive: PassThrough, callback: () => void): void {
  const go = () => {
    archive.off('drain', go);
    archive.off('close', go);
    callback();
  };
  archive.once('drain', go);
  archive.once('close', go);
}
