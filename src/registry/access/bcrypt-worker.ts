/** bcrypt in plain JavaScript, 50 ms and more of a core a check: off the event loop. */
import { parentPort } from 'node:worker_threads';
import { compareSync, hashSync } from 'bcryptjs';
import { describeFailure, type WorkerReply } from '../../store/worker-call.ts';

export type BcryptRequest =
  | { readonly op: 'compare'; readonly password: string; readonly hash: string }
  | { readonly op: 'hash'; readonly password: string; readonly cost: number };

parentPort?.on('message', (request: BcryptRequest & { readonly id: number }) => {
  parentPort?.postMessage(answer(request));
});

function answer(request: BcryptRequest & { readonly id: number }): WorkerReply {
  try {
    const value = request.op === 'compare' ? compareSync(request.password, request.hash) : hashSync(request.password, request.cost);
    return { id: request.id, ok: true, value };
  } catch (thrown) {
    return { id: request.id, ok: false, error: describeFailure(thrown) };
  }
}
