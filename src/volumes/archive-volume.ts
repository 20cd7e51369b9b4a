/** `volume export` and `volume import`, which Docker does not have: a tar of the content, streamed. */
import type { Readable } from 'node:stream';
import { conflict } from '../base/errors.ts';
import { exportStream, importStream } from '../linux/pipe-streams.ts';
import { isEmpty, settleContent, withStaging } from './fill-volume.ts';
import { explaining, requireVolume, type VolumeContext, withContent } from './volume-context.ts';

/** The volume is kept (and mounted) until the stream ends or is destroyed. */
export async function exportVolume(context: VolumeContext, name: string, streams: Set<Readable>): Promise<Readable> {
  const record = await requireVolume(context, name);
  const opened = Promise.withResolvers<Readable>();
  const work = withContent(context, record, 'exported', async ({ path }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = new SharedArrayBuffer(4);
    const stream = exportStream((writeEnd) => context.threads.streams.run({ kind: 'export', path, writeEnd }, cancel), resolve);
    streams.add(stream);
    stream.once('close', () => Atomics.store(new Int32Array(cancel), 0, 1));
    opened.resolve(stream);
    await promise;
    streams.delete(stream);
  });
  work.catch(opened.reject);
  return await opened.promise;
}

export async function importVolume(context: VolumeContext, name: string, archive: Readable, merge: boolean): Promise<void> {
  const record = await requireVolume(context, name);
  const { streams } = context.threads;
  const notEmpty = () => conflict('the volume is not empty: import into an empty one, or merge');
  await explaining('import into', name, () =>
    withContent(context, record, 'imported into', async (content) => {
      if (!merge && !(await isEmpty(context, content))) throw notEmpty();
      await withStaging(context, content, async () => {
        const target = { staging: content.staging, target: content.path, merge };
        await importStream(archive, (readEnd, cancel) => streams.run({ kind: 'import', readEnd, ...target }, cancel));
        if (!merge && !(await settleContent(context, record, content))) throw notEmpty();
      });
    }),
  );
}
