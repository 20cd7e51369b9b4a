/**
 * What the steps of a build tell, put into the order of the Dockerfile: steps of independent stages run side by side, but people and programs read this stream as one step after the other.
 * A step whose turn it is tells at once; what the others say is kept, as much as fits, until theirs comes.
 *
 *     instructions   FROM ─ RUN a ─ RUN b ─ COPY
 *                            ▲ told as it comes    (b runs, its output waits)
 */
import { createHash } from 'node:crypto';
import type { BuildEvent, PlannedInstruction, Vertex } from '../../build/build-event.ts';

export interface StepLogOutput {
  /** A line of the answer: `{"stream":text}`. */
  stream(text: string): void;
  /** The same for what a process printed. */
  printed(text: string): void;
}

/** Of each step whose turn it is not. */
const keptBytes = 2 * 1024 * 1024;

interface Progress {
  vertex: Vertex;
  readonly kept: { readonly text: string; readonly stream: 'stdout' | 'stderr' }[];
  keptLength: number;
  clipped: boolean;
  readonly decoders: { readonly stdout: TextDecoder; readonly stderr: TextDecoder };
}

export class StepLog {
  readonly #output: StepLogOutput;
  /** Short id of the image that a FROM names; empty: scratch, or another stage. */
  readonly #baseId: (reference: string) => string;
  #instructions: readonly PlannedInstruction[] = [];
  readonly #progress = new Map<string, Progress>();
  #at = 0;
  #isOpen = false;
  #isRunning = false;
  #lastId = '';

  constructor(output: StepLogOutput, baseId: (reference: string) => string) {
    this.#output = output;
    this.#baseId = baseId;
  }

  take(event: BuildEvent): void {
    if (event.kind === 'plan') this.#instructions = event.instructions;
    else if (event.kind === 'vertex') this.#know(event.vertex);
    else if (event.kind === 'log') this.#log(event.vertex, event.stream, event.bytes);
    else return;
    this.#goOn();
  }

  /** Everything was built: the last step's id is the image's. */
  finish(imageId: string): void {
    if (this.#isOpen) this.#output.stream(` ---> ${imageId}\n`);
    this.#isOpen = false;
  }

  /** What was told of the steps up to the one that failed; those of other stages that were cancelled meanwhile stay untold. */
  fail(): void {
    const failed = this.#instructions.findIndex(({ vertex }) => hasFailed(this.#progress.get(vertex ?? '')?.vertex));
    for (; this.#at <= failed; this.#close()) {
      const progress = this.#current();
      if (this.#at < failed && progress !== null && progress.vertex.completedAt === undefined && !this.#isOpen) continue;
      this.#open();
      if (progress !== null) this.#tell(progress);
      if (this.#at === failed) return;
      this.#tellEnd();
    }
  }

  #know(vertex: Vertex): void {
    const known = this.#progress.get(vertex.digest);
    if (known !== undefined) known.vertex = { ...known.vertex, ...vertex };
    else this.#progress.set(vertex.digest, newProgress(vertex));
  }

  #log(digest: string, stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    const progress = this.#progress.get(digest);
    if (progress === undefined) return;
    const text = progress.decoders[stream].decode(bytes, { stream: true });
    if (text === '') return;
    progress.kept.push({ text, stream });
    progress.keptLength += text.length;
    while (progress.keptLength > keptBytes && progress.kept.length > 1) {
      progress.keptLength -= progress.kept.shift()?.text.length ?? 0;
      progress.clipped = true;
    }
  }

  #goOn(): void {
    while (this.#at < this.#instructions.length) {
      this.#open();
      const progress = this.#current();
      if (progress !== null) {
        this.#tell(progress);
        if (progress.vertex.completedAt === undefined || hasFailed(progress.vertex)) return;
      } else if (this.#instructions[this.#at]?.vertex !== null) {
        return;
      }
      // Its id is known when the image is.
      if (this.#at === this.#instructions.length - 1) {
        this.#tellCached();
        this.#at++;
        return;
      }
      this.#tellEnd();
      this.#close();
    }
  }

  #current(): Progress | null {
    return this.#progress.get(this.#instructions[this.#at]?.vertex ?? '') ?? null;
  }

  #open(): void {
    if (this.#isOpen) return;
    const { text = '' } = this.#instructions[this.#at] ?? {};
    this.#output.stream(`Step ${this.#at + 1}/${this.#instructions.length} : ${text}`);
    this.#output.stream('\n');
    this.#isOpen = true;
    this.#isRunning = false;
  }

  #close(): void {
    this.#at++;
    this.#isOpen = false;
  }

  #tell(progress: Progress): void {
    const { vertex } = progress;
    if (!this.#isRunning && isRun(vertex) && vertex.startedAt !== undefined && vertex.cached !== true) {
      this.#output.stream(` ---> Running in ${shortId(vertex.digest)}\n`);
      this.#isRunning = true;
    }
    if (progress.clipped) this.#output.stream('[output clipped: what came first was not kept while other steps were shown]\n');
    for (const { text, stream } of progress.kept) this.#output.printed(stream === 'stdout' ? text : `\u001b[91m${text}\u001b[0m`);
    progress.kept.length = 0;
    progress.keptLength = 0;
    progress.clipped = false;
  }

  #tellEnd(): void {
    this.#tellCached();
    this.#lastId = this.#idOf();
    this.#output.stream(` ---> ${this.#lastId}\n`);
  }

  #tellCached(): void {
    const progress = this.#current();
    if (progress?.vertex.cached === true && !this.#isBase()) this.#output.stream(' ---> Using cache\n');
  }

  #isBase(): boolean {
    return /^from\s/i.test(this.#instructions[this.#at]?.text ?? '');
  }

  /** There are no images between steps: what is shown in their place tells steps apart, and is the same for the same steps. */
  #idOf(): string {
    const { text = '', vertex = null } = this.#instructions[this.#at] ?? {};
    if (this.#isBase()) return this.#baseId(baseReference(this.#current()?.vertex.name ?? text));
    return vertex !== null ? shortId(vertex) : createHash('sha256').update(`${this.#lastId}\n${text}`).digest('hex').slice(0, 12);
  }
}

function newProgress(vertex: Vertex): Progress {
  return {
    vertex,
    kept: [],
    keptLength: 0,
    clipped: false,
    decoders: { stdout: new TextDecoder(), stderr: new TextDecoder() },
  };
}

function hasFailed(vertex: Vertex | undefined): boolean {
  return vertex?.error !== undefined && !/^context canceled\b/.test(vertex.error);
}

function isRun({ name }: Vertex): boolean {
  return /\] (ONBUILD )?RUN\b/.test(name);
}

/** `[build 1/4] FROM docker.io/library/busybox:latest@sha256:…` */
function baseReference(text: string): string {
  return /\bFROM\s+(?:--\S+\s+)*(\S+)/i.exec(text)?.[1] ?? '';
}

/** What people see of a digest or an id: 12 digits. */
export function shortId(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}
