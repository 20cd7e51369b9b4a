/** What the solver tells of the operations of one build, as vertices; and what is remembered of them: counts, results, last lines, what failed. */
import { errorText } from '../../base/errors.ts';
import { type BlamedStep, cancelledText } from '../build-error.ts';
import type { StepExplanation, Vertex } from '../build-event.ts';
import { inputsOf, type Operation } from '../plan/operation.ts';
import type { OperationResult } from '../result.ts';
import type { SolveEvent } from '../solve/solver.ts';
import { imageVertex } from './base-images.ts';
import { LastLines } from './last-lines.ts';
import { isLayerOperation, type LayerOperation } from './operation-work.ts';
import { type Vertices, vertexDigest } from './vertices.ts';

export interface StepFailure {
  readonly operation: LayerOperation;
  readonly error: unknown;
}

export class StepLog {
  readonly #vertices: Vertices;
  readonly #contextVertex: (name: string) => string;
  readonly #isCancelled: () => boolean;
  readonly #again: string;
  readonly #results = new Map<Operation, OperationResult>();
  readonly #lines = new Map<Operation, LastLines>();
  readonly #started = new Map<Operation, Date>();
  readonly #steps = new Set<Operation>();
  #cached = 0;
  #failure: StepFailure | null = null;

  /** `again`: behind the names of its steps, where all are done a second time. */
  constructor(vertices: Vertices, contextVertex: (name: string) => string, isCancelled: () => boolean, again = '') {
    this.#again = again;
    this.#vertices = vertices;
    this.#contextVertex = contextVertex;
    this.#isCancelled = isCancelled;
  }

  get counts(): { readonly steps: number; readonly cached: number } {
    return { steps: this.#steps.size, cached: this.#cached };
  }

  get failure(): StepFailure | null {
    return this.#failure;
  }

  /** Every step that will be done is told before the first begins. */
  announce(operation: Operation): void {
    if (this.#steps.has(operation)) return;
    for (const input of inputsOf(operation)) this.announce(input);
    if (!isLayerOperation(operation)) return;
    this.#steps.add(operation);
    this.#vertices.vertex(this.#vertex(operation));
  }

  /** Null: it has none. */
  vertexOf(operation: Operation): string | null {
    switch (operation.kind) {
      case 'scratch':
        return null;
      case 'image':
        return imageVertex(operation.reference, operation.platform);
      case 'context':
        return this.#contextVertex(operation.name);
      default:
        return vertexDigest(`step ${operation.step.title} ${operation.step.place.startLine}${this.#again}`);
    }
  }

  hear(event: SolveEvent<OperationResult>): void {
    const { operation, at } = event;
    if (event.kind === 'done') this.#results.set(operation, event.result);
    if (!isLayerOperation(operation)) return;
    switch (event.kind) {
      case 'started':
        this.#started.set(operation, at);
        this.#vertices.vertex({ ...this.#vertex(operation), startedAt: at });
        return;
      case 'output':
        this.#output(operation, event.stream, event.bytes, at);
        return;
      case 'done':
        if (event.cached) this.#cached++;
        this.#end(operation, at, { cached: event.cached });
        return;
      case 'failed': {
        const isFirst = this.#failure === null && !this.#isCancelled();
        if (isFirst) this.#failure = { operation, error: event.error };
        this.#end(operation, at, { error: isFirst ? errorText(event.error) : cancelledText });
        return;
      }
    }
  }

  explain(operation: LayerOperation, explanation: StepExplanation): void {
    this.#vertices.report({ kind: 'explanation', vertex: this.vertexOf(operation) ?? '', explanation });
  }

  resultOf(operation: Operation): OperationResult | undefined {
    return this.#results.get(operation);
  }

  blamed(operation: LayerOperation): BlamedStep {
    return { ...operation.step, lastLines: this.#lines.get(operation)?.get() ?? [] };
  }

  #output(operation: LayerOperation, stream: 'stdout' | 'stderr', bytes: Uint8Array, at: Date): void {
    const lines = this.#lines.get(operation) ?? new LastLines();
    this.#lines.set(operation, lines);
    lines.add(stream, bytes);
    this.#vertices.report({ kind: 'log', vertex: this.vertexOf(operation) ?? '', stream, bytes, at });
  }

  #end(operation: LayerOperation, at: Date, how: { readonly cached?: boolean; readonly error?: string }): void {
    this.#vertices.vertex({ ...this.#vertex(operation), startedAt: this.#started.get(operation) ?? at, completedAt: at, ...how });
  }

  #vertex(operation: LayerOperation): Vertex {
    const inputs = inputsOf(operation).flatMap((input) => this.vertexOf(input) ?? []);
    const { title, place } = operation.step;
    return { digest: this.vertexOf(operation) ?? '', inputs: [...new Set(inputs)], name: `${title}${this.#again}`, place };
  }
}
