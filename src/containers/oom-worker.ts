/** Entry of the worker thread that waits for the kernel's notices (linux/event-poll.ts) and passes their tokens on. It looks now and then whether it should end. */
import { parentPort, workerData } from 'node:worker_threads';
import { waitForEvents } from '../linux/event-poll.ts';

export interface OomWorkerData {
  readonly poll: number;
  /** One Int32: 1 ends the thread. */
  readonly end: SharedArrayBuffer;
}

const timeoutMs = 250;
const { poll, end } = workerData as OomWorkerData;
const shouldEnd = new Int32Array(end);

while (Atomics.load(shouldEnd, 0) === 0) for (const token of waitForEvents(poll, timeoutMs)) parentPort?.postMessage(token);
