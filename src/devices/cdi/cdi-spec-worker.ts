/** A thread that reads one description, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { errorText } from '../../base/errors.ts';
import { parseCdiSpec } from './parse-cdi-spec.ts';

const { text, file } = workerData as { readonly text: string; readonly file: string };
parseCdiSpec(text, file).then(
  (spec) => parentPort?.postMessage({ spec }),
  (error: unknown) => parentPort?.postMessage({ problem: errorText(error) }),
);
