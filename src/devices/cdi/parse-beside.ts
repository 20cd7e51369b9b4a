/**
 * Reads descriptions without holding up the event loop: small ones here, larger ones (YAML of a megabyte takes seconds) each in a thread of its own, one after
 * the other, whose time and memory are bounded, because anybody may have written the file.
 */
import { Worker } from 'node:worker_threads';
import { EngineError, errorText, invalid } from '../../base/errors.ts';
import type { CdiSpec } from './cdi-spec.ts';
import { parseCdiSpec } from './parse-cdi-spec.ts';

const smallCharacters = 16 * 1024;
const patienceMs = 60_000;
const maximumMegabytes = 1024;

export async function parseBeside(text: string, file: string): Promise<CdiSpec> {
  if (text.length <= smallCharacters) return await parseCdiSpec(text, file);
  const read = lastThread.then(() => parseInThread(text, file));
  lastThread = read.catch(() => {});
  return await read;
}

let lastThread: Promise<unknown> = Promise.resolve();

function parseInThread(text: string, file: string): Promise<CdiSpec> {
  const { promise, resolve, reject } = Promise.withResolvers<CdiSpec>();
  const worker = new Worker(new URL('./cdi-spec-worker.ts', import.meta.url), {
    workerData: { text, file },
    resourceLimits: { maxOldGenerationSizeMb: maximumMegabytes },
  });
  const timer = setTimeout(
    () => reject(invalid(`${file}: reading it takes more than ${patienceMs / 1000} seconds: divide it`)),
    patienceMs,
  );
  worker.on('message', ({ spec, problem }: { readonly spec?: CdiSpec; readonly problem?: string }) => {
    if (spec !== undefined) resolve(spec);
    else reject(invalid(problem ?? `${file}: cannot be read`));
  });
  worker.on('error', (cause) => reject(invalid(`${file}: reading it failed: ${errorText(cause)}: divide it`, { cause })));
  worker.on('exit', () => reject(new EngineError('system', `${file}: the thread that read it ended`)));
  return promise.finally(() => {
    clearTimeout(timer);
    void worker.terminate();
  });
}
