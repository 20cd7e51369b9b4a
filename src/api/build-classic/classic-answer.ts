/**
 * The answer of `POST /build` as Docker's classic builder writes it: JSON texts, one a line. Clients find the image by `Successfully built`, or by the only line with `q=1`, and take the
 * exit status from `errorDetail.code`.
 *
 * The status line leaves with the first line; what is wrong with the request or the Dockerfile is known before, and is an HTTP error.
 */

import { EngineError } from '../../base/errors.ts';
import type { BuildEvent, VertexStatus } from '../../build/build-event.ts';
import type { BuildOutcome } from '../../build/builder.ts';
import { familiarReference, parseReference } from '../../oci/reference.ts';
import type { Exchange } from '../exchange.ts';
import { classicFailure, requestFault } from './classic-failure.ts';
import { StepLog, shortId } from './step-log.ts';

/** A client that does not read is not waited for, nor is what it does not read kept without end. */
const unreadBytes = 16 * 1024 * 1024;

export class ClassicAnswer {
  readonly #exchange: Exchange;
  readonly #quiet: boolean;
  readonly #steps: StepLog;
  readonly #held: object[] = [];
  #heldLength = 0;
  #droppedLength = 0;
  #readsImages = false;

  constructor(exchange: Exchange, quiet: boolean, baseId: (reference: string) => string) {
    this.#exchange = exchange;
    this.#quiet = quiet;
    this.#steps = new StepLog({ stream: (text) => this.#line({ stream: text }), printed: (text) => this.#printed(text) }, baseId);
  }

  report(event: BuildEvent): void {
    this.#readsImages ||= event.kind === 'plan' || (event.kind === 'vertex' && event.vertex.name.startsWith('[internal] load metadata'));
    if (event.kind === 'status') this.#transfer(event.status);
    else this.#steps.take(event);
  }

  finish({ imageId, names, warnings }: BuildOutcome): void {
    if (imageId === null) throw new EngineError('system', 'No image was generated');
    if (this.#quiet) {
      this.#send({ stream: `${imageId}\n` });
    } else {
      const id = shortId(imageId);
      this.#steps.finish(id);
      this.#send({ aux: { ID: imageId } });
      for (const { short } of warnings) this.#send({ stream: `[Warning] ${short}\n` });
      this.#send({ stream: `Successfully built ${id}\n` });
      for (const name of names) this.#send({ stream: `Successfully tagged ${familiarReference(parseReference(name))}\n` });
    }
    this.#end();
  }

  /** Throws what is an HTTP error. */
  fail(error: unknown): void {
    const { response, signal } = this.#exchange;
    const fault = response.headersSent || this.#held.length > 0 ? null : requestFault(error, this.#readsImages);
    if (fault !== null) throw fault;
    if (signal.aborted && response.destroyed) throw error;
    this.#steps.fail();
    for (const line of this.#held) this.#send(line);
    const { message, exitCode, excerpt } = classicFailure(error);
    if (excerpt !== '') this.#send({ stream: `${excerpt}\n` });
    this.#send({ errorDetail: { ...(exitCode === null ? {} : { code: exitCode }), message }, error: message });
    this.#end();
  }

  #end(): void {
    // What follows the end of the archive is nobody's, but a client that still sends it must be able to.
    this.#exchange.request.resume();
    this.#exchange.response.end();
  }

  #transfer(status: VertexStatus): void {
    const line = transferLine(status);
    if (line !== null) this.#line(line);
  }

  #printed(text: string): void {
    if (this.#exchange.response.writableLength > unreadBytes) {
      this.#droppedLength += text.length;
      return;
    }
    if (this.#droppedLength > 0) this.#line({ stream: `[output clipped: ${this.#droppedLength} characters were not read in time]\n` });
    this.#droppedLength = 0;
    this.#line({ stream: text });
  }

  /** With `q=1` lines are told only when the build fails. */
  #line(line: object): void {
    if (!this.#quiet) {
      this.#send(line);
      return;
    }
    this.#held.push(line);
    this.#heldLength += JSON.stringify(line).length;
    while (this.#heldLength > unreadBytes) this.#heldLength -= JSON.stringify(this.#held.shift() ?? {}).length;
  }

  #send(line: object): void {
    const { response } = this.#exchange;
    if (!response.headersSent) this.#exchange.startStream(200, 'application/json');
    response.write(`${JSON.stringify(line)}\r\n`);
  }
}

/** Of a base image's layers, `0123456789ab` and `extracting 0123456789ab`: what a pull tells. */
function transferLine({ id, current, total, completedAt }: VertexStatus): object | null {
  const [, extracting, layer] = /^(extracting )?(?:sha256:)?([0-9a-f]{12})[0-9a-f]*$/.exec(id) ?? [];
  if (layer === undefined) return null;
  const [going, done] = extracting === undefined ? ['Downloading', 'Download complete'] : ['Extracting', 'Pull complete'];
  if (completedAt !== undefined) return { status: done, progressDetail: {}, id: layer };
  return { status: going, progressDetail: { current, total }, id: layer };
}
