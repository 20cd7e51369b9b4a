/** One JSON object a line for programs, in the shape that BuildKit's client writes (`SolveStatus`). */
import type { BuildProgress, BuildVertex, BuildWarningText, VertexProgress } from '../../../client/build-types.ts';
import type { CliOutput } from '../../cli-io.ts';
import { writeText } from '../../output.ts';
import type { BuildDisplay } from './build-display.ts';

export class RawJsonDisplay implements BuildDisplay {
  readonly #output: CliOutput;

  constructor(output: CliOutput) {
    this.#output = output;
  }

  show(event: BuildProgress): void {
    const status = solveStatus(event);
    if (status !== null) writeText(this.#output, `${JSON.stringify(status)}\n`);
  }

  end(): void {}
}

const STREAMS = { stdout: 1, stderr: 2 } as const;

function solveStatus(event: BuildProgress): unknown {
  switch (event.kind) {
    case 'vertex':
      return { vertexes: [vertex(event.vertex)] };
    case 'status':
      return { statuses: [status(event.status)] };
    case 'log':
      return {
        logs: [
          {
            vertex: event.vertex,
            stream: STREAMS[event.stream],
            data: Buffer.from(event.bytes).toString('base64'),
            timestamp: event.at.toISOString(),
          },
        ],
      };
    case 'warning':
      return { warnings: [warning(event.warning)] };
    case 'plan':
    case 'explanation':
      return null;
  }
}

function vertex({ digest, inputs, name, startedAt, completedAt, cached, error }: BuildVertex): unknown {
  return {
    digest,
    ...(inputs.length === 0 ? {} : { inputs }),
    name,
    ...(startedAt === undefined ? {} : { started: startedAt.toISOString() }),
    ...(completedAt === undefined ? {} : { completed: completedAt.toISOString() }),
    ...(cached === true ? { cached } : {}),
    ...(error === undefined || error === '' ? {} : { error }),
  };
}

function status({ id, vertex: owner, name, current, total, startedAt, completedAt }: VertexProgress): unknown {
  return {
    id,
    vertex: owner,
    ...(name === '' ? {} : { name }),
    ...(total === 0 ? {} : { total }),
    current,
    timestamp: (completedAt ?? new Date()).toISOString(),
    started: startedAt.toISOString(),
    ...(completedAt === undefined ? {} : { completed: completedAt.toISOString() }),
  };
}

function warning({ vertex: owner, short, detail, url, place }: BuildWarningText): unknown {
  const bytes = (text: string): string => Buffer.from(text).toString('base64');
  return {
    ...(owner === '' ? {} : { vertex: owner }),
    level: 1,
    short: bytes(short),
    ...(detail === '' ? {} : { detail: [bytes(detail)] }),
    ...(url === '' ? {} : { url }),
    ...(place === null ? {} : { range: [{ start: { line: place.startLine }, end: { line: place.endLine } }] }),
  };
}
