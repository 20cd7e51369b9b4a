import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BuildEvent, PlannedInstruction, Vertex } from '../../build/build-event.ts';
import { StepLog } from './step-log.ts';

const place = { startLine: 1, endLine: 1 };
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const at = new Date(0);

function log() {
  const told: string[] = [];
  const steps = new StepLog({ stream: (text) => told.push(text), printed: (text) => told.push(text) }, (name) =>
    name === '' ? '' : `<${name}>`,
  );
  return {
    steps,
    all: () => told.join(''),
    plan: (...instructions: readonly (readonly [string, string | null])[]) =>
      steps.take({
        kind: 'plan',
        instructions: instructions.map(
          ([text, vertex]): PlannedInstruction => ({ text, vertex: vertex === null ? null : digest(vertex), place }),
        ),
      }),
    vertex: (letter: string, rest: Partial<Vertex>) =>
      steps.take({ kind: 'vertex', vertex: { digest: digest(letter), inputs: [], name: `[1/9] RUN ${letter}`, ...rest } }),
    print: (letter: string, text: string, stream: 'stdout' | 'stderr' = 'stdout') =>
      steps.take({ kind: 'log', vertex: digest(letter), stream, bytes: Buffer.from(text), at } satisfies BuildEvent),
  };
}

describe('StepLog', () => {
  it('tells a build as the classic builder does', () => {
    const { plan, vertex, print, steps, all } = log();
    plan(['FROM busybox', 'f'], ['ENV A=1', null], ['RUN a', 'a'], ['CMD ["x"]', null]);
    vertex('f', { name: '[1/2] FROM docker.io/library/busybox', completedAt: at, cached: true });
    vertex('a', { startedAt: at });
    print('a', 'out\n');
    print('a', 'err\n', 'stderr');
    vertex('a', { startedAt: at, completedAt: at });
    steps.finish('0123456789ab');
    const id = /Step 2\/4 : ENV A=1\n ---> ([0-9a-f]{12})\n/.exec(all())?.[1];
    assert.notEqual(id, undefined);
    assert.equal(
      all(),
      [
        'Step 1/4 : FROM busybox',
        ' ---> <docker.io/library/busybox>',
        'Step 2/4 : ENV A=1',
        ` ---> ${id}`,
        'Step 3/4 : RUN a',
        ' ---> Running in aaaaaaaaaaaa',
        'out',
        '\u001b[91merr',
        '\u001b[0m ---> aaaaaaaaaaaa',
        'Step 4/4 : CMD ["x"]',
        ' ---> 0123456789ab',
        '',
      ].join('\n'),
    );
  });

  it('what runs beside another step waits for its turn', () => {
    const { plan, vertex, print, all } = log();
    plan(['RUN a', 'a'], ['RUN b', 'b'], ['RUN c', 'c']);
    vertex('a', { startedAt: at });
    vertex('b', { startedAt: at });
    print('b', 'of b\n');
    print('a', 'of a\n');
    vertex('b', { startedAt: at, completedAt: at });
    assert.match(all(), /of a\n$/);
    vertex('a', { startedAt: at, completedAt: at });
    assert.match(
      all(),
      /of a\n ---> aaaaaaaaaaaa\nStep 2\/3 : RUN b\n ---> Running in bbbbbbbbbbbb\nof b\n ---> bbbbbbbbbbbb\nStep 3\/3 : RUN c\n$/,
    );
  });

  it('says what came from the cache, the last step too', () => {
    const { plan, vertex, steps, all } = log();
    plan(['RUN a', 'a'], ['RUN b', 'b']);
    vertex('a', { completedAt: at, cached: true });
    vertex('b', { completedAt: at, cached: true });
    steps.finish('0123456789ab');
    assert.equal(
      all(),
      'Step 1/2 : RUN a\n ---> Using cache\n ---> aaaaaaaaaaaa\nStep 2/2 : RUN b\n ---> Using cache\n ---> 0123456789ab\n',
    );
  });

  it('a failure ends with the output of the step that failed, whoever is cancelled with it', () => {
    const { plan, vertex, print, steps, all } = log();
    plan(['RUN a', 'a'], ['RUN b', 'b'], ['RUN c', 'c'], ['RUN d', 'd']);
    vertex('a', { startedAt: at });
    vertex('b', { startedAt: at });
    vertex('c', { startedAt: at });
    print('c', 'of c\n');
    vertex('c', { completedAt: at, error: 'process "c" did not complete successfully: exit code: 3' });
    vertex('a', { completedAt: at, error: 'context canceled' });
    vertex('b', { completedAt: at, error: 'context canceled' });
    steps.fail();
    assert.match(all(), /Step 3\/4 : RUN c\n ---> Running in cccccccccccc\nof c\n$/);
    assert.doesNotMatch(all(), /RUN d/);
  });

  it('keeps letters together that come in two pieces, and not more than fits of a step that waits', () => {
    const { plan, vertex, steps, all } = log();
    plan(['RUN a', 'a'], ['RUN b', 'b']);
    vertex('a', { startedAt: at });
    vertex('b', { startedAt: at });
    const bytes = Buffer.from('ü\n');
    steps.take({ kind: 'log', vertex: digest('a'), stream: 'stdout', bytes: bytes.subarray(0, 1), at });
    steps.take({ kind: 'log', vertex: digest('a'), stream: 'stdout', bytes: bytes.subarray(1), at });
    assert.match(all(), /ü\n$/);
    for (let count = 0; count < 50; count++)
      steps.take({ kind: 'log', vertex: digest('b'), stream: 'stdout', bytes: Buffer.alloc(100_000, 'x'), at });
    vertex('a', { startedAt: at, completedAt: at });
    assert.match(all(), /\[output clipped/);
    assert.ok(all().length < 2_200_000);
  });
});
