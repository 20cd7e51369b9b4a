/** What one build reports: vertices that open and close once, their statuses and logs. Whatever is open when the build ends is told as cancelled. */
import { errorText } from '../../base/errors.ts';
import { digestOf } from '../../oci/digest.ts';
import { cancelledText } from '../build-error.ts';
import type { BuildEvent, BuildWarning, Vertex } from '../build-event.ts';

export interface OpenVertex {
  readonly digest: string;
  status(name: string, current: number, total?: number, isDone?: boolean): void;
  /** Nothing had to be done. */
  markCached(): void;
}

export class Vertices {
  readonly #report: (event: BuildEvent) => void;
  readonly #isCancelled: () => boolean;
  readonly #open = new Map<string, Vertex>();
  readonly #warnings: BuildWarning[] = [];

  /** `isCancelled`: what fails now fails because the build was given up. */
  constructor(report: (event: BuildEvent) => void, isCancelled: () => boolean) {
    this.#report = report;
    this.#isCancelled = isCancelled;
  }

  get warnings(): readonly BuildWarning[] {
    return this.#warnings;
  }

  report(event: BuildEvent): void {
    this.#report(event);
  }

  warn(warning: BuildWarning): void {
    this.#warnings.push(warning);
    this.#report({ kind: 'warning', warning });
  }

  vertex(vertex: Vertex): void {
    if (vertex.completedAt !== undefined) this.#open.delete(vertex.digest);
    else if (vertex.startedAt !== undefined) this.#open.set(vertex.digest, vertex);
    this.#report({ kind: 'vertex', vertex });
  }

  /** `key`: what tells it from others of the same name. */
  async during<T>(name: string, work: (vertex: OpenVertex) => Promise<T>, key = name): Promise<T> {
    const vertex = { digest: vertexDigest(key), inputs: [], name, startedAt: new Date() };
    this.vertex(vertex);
    let cached = false;
    const markCached = () => {
      cached = true;
    };
    const began = new Map<string, Date>();
    const status: OpenVertex['status'] = (id, current, total = 0, isDone = false) => {
      const startedAt = began.get(id) ?? new Date();
      began.set(id, startedAt);
      const completed = isDone ? { completedAt: new Date() } : {};
      this.#report({ kind: 'status', status: { id, vertex: vertex.digest, name: id, current, total, startedAt, ...completed } });
    };
    try {
      const result = await work({ digest: vertex.digest, status, markCached });
      this.vertex({ ...vertex, completedAt: new Date(), ...(cached ? { cached } : {}) });
      return result;
    } catch (error) {
      this.vertex({ ...vertex, completedAt: new Date(), error: this.#isCancelled() ? cancelledText : errorText(error) });
      throw error;
    }
  }

  /** Nothing of the build goes on. */
  closeAll(): void {
    for (const vertex of [...this.#open.values()]) this.vertex({ ...vertex, completedAt: new Date(), error: cancelledText });
  }
}

export function vertexDigest(key: string): string {
  return digestOf(`vertex ${key}`);
}
