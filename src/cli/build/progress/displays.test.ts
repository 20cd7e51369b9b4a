import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import type { BuildProgress, BuildVertex } from '../../../client/build-types.ts';
import { BuildModel } from './build-model.ts';
import { explanationsText, failureText, warningsText } from './closing-text.ts';
import { PlainDisplay } from './plain-display.ts';
import { RawJsonDisplay } from './raw-json-display.ts';
import { amountText } from './step-text.ts';
import { TerminalDisplay } from './terminal-display.ts';

const BEGIN = Date.parse('2026-11-21T10:00:00Z');
const at = (ms: number): Date => new Date(BEGIN + ms);

function vertex(digest: string, name: string, rest: Partial<BuildVertex> = {}): BuildProgress {
  return { kind: 'vertex', vertex: { digest, name, inputs: [], ...rest } };
}
const starts = (digest: string, name: string, ms: number) => vertex(digest, name, { startedAt: at(ms) });
const ends = (digest: string, name: string, from: number, to: number, rest: Partial<BuildVertex> = {}) =>
  vertex(digest, name, { startedAt: at(from), completedAt: at(to), ...rest });
const log = (digest: string, text: string, ms: number): BuildProgress => ({
  kind: 'log',
  vertex: digest,
  stream: 'stdout',
  bytes: Buffer.from(text),
  at: at(ms),
});
const status = (owner: string, id: string, current: number, total: number, from: number, to?: number): BuildProgress => ({
  kind: 'status',
  status: { id, vertex: owner, name: '', current, total, startedAt: at(from), ...(to === undefined ? {} : { completedAt: at(to) }) },
});

/** What was written so far. */
function output(terminal: { readonly columns: number; readonly rows: number } | null = null) {
  const stream = Object.assign(new PassThrough(), terminal === null ? {} : { isTTY: true, ...terminal });
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return { stream, text: () => text };
}

/** Time as the events have it. */
class Clock {
  now = BEGIN;
  readonly read = (): number => this.now;
}

function plain(events: readonly (readonly [ms: number, event: BuildProgress])[]): string {
  const { stream, text } = output();
  const clock = new Clock();
  const display = new PlainDisplay({ output: stream, clock: clock.read });
  for (const [ms, event] of events) {
    clock.now = BEGIN + ms;
    display.show(event);
    display.flush();
  }
  display.end();
  return text();
}

describe('PlainDisplay', () => {
  it('shows steps in BuildKit form: numbers, transfers, logs with their time, ends', () => {
    const text = plain([
      [0, vertex('c', '[2/2] RUN make')],
      [0, starts('a', '[internal] load build context', 0)],
      [40, status('a', 'transferring context:', 2048, 0, 0, 40)],
      [50, ends('a', '[internal] load build context', 0, 50)],
      [60, ends('b', '[1/2] FROM docker.io/library/busybox', 60, 60, { cached: true })],
      [100, starts('c', '[2/2] RUN make', 100)],
      [313, log('c', 'cc -c a.c\ncc -c', 313)],
      [400, log('c', ' b.c\n10%\r50%\rdone\nlast', 400)],
      [1400, ends('c', '[2/2] RUN make', 100, 1400)],
    ]);
    assert.equal(
      text,
      `#1 [internal] load build context
#1 transferring context: 2.05kB 0.0s done
#1 DONE 0.1s

#2 [1/2] FROM docker.io/library/busybox
#2 CACHED

#3 [2/2] RUN make
#3 0.213 cc -c a.c
#3 0.213 cc -c b.c
#3 0.300 done
#3 0.300 last
#3 DONE 1.3s
`,
    );
  });

  it('shows one of two steps that run side by side, and the other when the first is over', () => {
    const text = plain([
      [0, starts('a', 'A', 0)],
      [10, starts('b', 'B', 10)],
      [20, log('a', 'a1\n', 20)],
      [30, log('b', 'b1\n', 30)],
      [40, log('a', 'a2\n', 40)],
      [50, ends('b', 'B', 10, 50)],
      [60, ends('a', 'A', 0, 60)],
    ]);
    assert.equal(text, '#1 A\n#1 0.020 a1\n#1 0.040 a2\n#1 ...\n\n#2 B\n#2 0.020 b1\n#2 DONE 0.0s\n\n#1 A\n#1 DONE 0.1s\n');
  });

  it('leaves a step that goes on for one that has waited long', () => {
    const text = plain([
      [0, starts('a', 'A', 0)],
      [10, starts('b', 'B', 10)],
      [30, log('b', 'b1\n', 30)],
      [6000, log('a', 'a1\n', 6000)],
      [6100, log('b', 'b2\n', 6100)],
    ]);
    assert.match(text, /^#1 A\n#1 \.\.\.\n\n#2 B\n#2 0\.020 b1\n/);
  });

  it('tells errors and cancelled steps', () => {
    const text = plain([
      [0, ends('a', 'A', 0, 10, { error: 'process "/bin/sh -c false" did not complete successfully: exit code: 1' })],
      [0, ends('b', 'B', 0, 10, { error: 'context canceled' })],
    ]);
    assert.match(text, /^#1 A\n#1 ERROR: process .*exit code: 1\n\n#2 B\n#2 CANCELED\n$/);
  });

  it('shows how far a transfer is about once a second', () => {
    const text = plain([
      [0, starts('a', 'A', 0)],
      ...[100, 500, 1100, 1200, 2300].map((ms) => [ms, status('a', 'sha256:1', ms * 1000, 3_400_000, 0)] as const),
      [2400, status('a', 'sha256:1', 3_400_000, 3_400_000, 0, 2400)],
    ]);
    assert.equal(text, '#1 A\n#1 sha256:1 1.10MB / 3.40MB 1.1s\n#1 sha256:1 2.30MB / 3.40MB 2.3s\n#1 sha256:1 3.40MB / 3.40MB 2.4s done\n');
  });
});

/** What a terminal shows: cursor up, carriage return, clear line, clear below. */
function screen(text: string): string[] {
  const lines = [''];
  let row = 0;
  for (const [piece] of text.matchAll(/\x1b\[\d*A|\x1b\[K|\x1b\[J|\r|\n|[^\x1b\r\n]+/g)) {
    const up = /^\x1b\[(\d*)A$/.exec(piece);
    if (up !== null) row = Math.max(0, row - Number(up[1] || 1));
    else if (piece === '\x1b[J') lines.length = row + 1;
    else if (piece === '\n') {
      row += 1;
      lines[row] ??= '';
    } else if (piece !== '\r' && piece !== '\x1b[K') lines[row] = piece;
    if (piece === '\x1b[J') lines[row] = '';
  }
  return lines;
}

function terminal(columns = 60, rows = 24) {
  const { stream, text } = output({ columns, rows });
  const clock = new Clock();
  const display = new TerminalDisplay({ output: stream, colours: false, clock: clock.read });
  return { display, clock, screen: () => screen(text()) };
}

describe('TerminalDisplay', () => {
  it('redraws steps with times, transfers and the last lines of those that run', () => {
    const { display, clock, screen } = terminal();
    display.show(ends('a', '[internal] load build context', 0, 100));
    display.show(status('a', 'transferring context:', 2048, 0, 0, 100));
    display.show(ends('b', '[1/2] FROM busybox', 100, 100, { cached: true }));
    display.show(starts('c', '[2/2] RUN make', 100));
    display.show(vertex('d', 'exporting to image'));
    for (let line = 1; line <= 9; line += 1) display.show(log('c', `line ${line}\n`, 200));
    clock.now = BEGIN + 2100;
    display.refresh();
    assert.deepEqual(screen(), [
      '[+] Building 2.1s (2/4)',
      ' => [internal] load build context                      0.1s',
      ' => => transferring context: 2.05kB                    0.1s',
      ' => CACHED [1/2] FROM busybox                          0.0s',
      // The clock of the daemon is taken from its first event: 100 ms before ours.
      ' => [2/2] RUN make                                     2.1s',
      ...[4, 5, 6, 7, 8, 9].map((line) => ` => => # line ${line}`),
      '',
    ]);
    display.end();
    assert.deepEqual(screen().slice(0, 6), [
      '[+] Building 2.1s (2/4) FINISHED',
      ' => [internal] load build context                      0.1s',
      ' => => transferring context: 2.05kB                    0.1s',
      ' => CACHED [1/2] FROM busybox                          0.0s',
      ' => [2/2] RUN make                                     2.1s',
      '',
    ]);
  });

  it('fits a small terminal, and prints everything when it is over', () => {
    const { display, screen } = terminal(40, 6);
    for (let step = 1; step <= 9; step += 1) display.show(ends(`s${step}`, `[${step}/10] RUN step`, 0, 10));
    display.show(starts('x', '[10/10] RUN x', 10));
    display.show(log('x', 'one\ntwo\n', 20));
    display.refresh();
    assert.deepEqual(
      screen().map((line) => line.trimEnd().replace(/ +[\d.]+s$/, '')),
      ['[+] Building 0.0s (9/10)', ' => [9/10] RUN step', ' => [10/10] RUN x', ' => => # one', ' => => # two', ''],
    );
    display.end();
    assert.equal(screen().filter((line) => line.includes('RUN')).length, 10);
  });

  it('marks what failed and keeps control characters of programs away', () => {
    const { display, screen } = terminal();
    display.show(starts('a', 'A\x1b[2J', 0));
    display.show(log('a', '\x1b[31mred\x1b[0m\x1b]0;title\x07 \x1b[5Aup\tend', 0));
    display.refresh();
    assert.ok(screen().includes(' => => # red up    end'), screen().join('\n'));
    display.show(ends('a', 'A', 0, 10, { error: 'x' }));
    display.end();
    assert.ok(screen().some((line) => line.startsWith(' => ERROR A')));
  });

  it('never is wider than the terminal', () => {
    const { display, screen } = terminal(30);
    display.show(starts('a', `[1/1] RUN ${'漢字'.repeat(30)}`, 0));
    display.show(log('a', 'x'.repeat(300), 0));
    display.refresh();
    const widths = screen().map((line) => [...line].reduce((sum, character) => sum + (character > '\u2e80' ? 2 : 1), 0));
    assert.ok(Math.max(...widths) < 30, String(widths));
    display.end();
  });
});

describe('RawJsonDisplay', () => {
  it('writes one status of BuildKit a line', () => {
    const { stream, text } = output();
    const display = new RawJsonDisplay(stream);
    display.show({ kind: 'plan', instructions: [] });
    display.show(ends('sha256:a', 'A', 0, 10, { cached: true, inputs: ['sha256:b'] }));
    display.show(log('sha256:a', 'hi\n', 5));
    display.show(status('sha256:a', 'transferring', 1, 2, 0, 5));
    display.show({
      kind: 'warning',
      warning: { rule: 'R', short: 'R: s', detail: 'd', url: 'u', place: { startLine: 1, endLine: 2 }, vertex: 'sha256:a' },
    });
    display.end();
    const lines = text()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const [begin, five, ten] = [at(0).toISOString(), at(5).toISOString(), at(10).toISOString()];
    assert.deepEqual(lines, [
      { vertexes: [{ digest: 'sha256:a', inputs: ['sha256:b'], name: 'A', started: begin, completed: ten, cached: true }] },
      { logs: [{ vertex: 'sha256:a', stream: 1, data: 'aGkK', timestamp: five }] },
      { statuses: [{ id: 'transferring', vertex: 'sha256:a', total: 2, current: 1, timestamp: five, started: begin, completed: five }] },
      {
        warnings: [
          {
            vertex: 'sha256:a',
            level: 1,
            short: 'Ujogcw==',
            detail: ['ZA=='],
            url: 'u',
            range: [{ start: { line: 1 }, end: { line: 2 } }],
          },
        ],
      },
    ]);
  });
});

describe('closing texts', () => {
  it('of a failure: output, excerpt, error', () => {
    const failure = {
      message: 'process "x" did not complete successfully: exit code: 3',
      exitCode: 3,
      step: '[2/2] RUN x',
      lastLines: ['a', 'b'],
      excerpt: 'Dockerfile:2\n---\n',
      stateImage: null,
    };
    assert.equal(
      failureText(failure),
      '------\n > [2/2] RUN x:\na\nb\n------\nDockerfile:2\n---\nERROR: failed to solve: process "x" did not complete successfully: exit code: 3\n',
    );
    assert.equal(failureText({ ...failure, step: null, lastLines: [], excerpt: '' }), `ERROR: failed to solve: ${failure.message}\n`);
  });

  it('of warnings', () => {
    const warning = { rule: 'R', short: 'R: text', detail: '', url: '', place: { startLine: 3, endLine: 3 }, vertex: '' };
    assert.equal(warningsText([warning]), '\n 1 warning found (gantry build --check shows the lines):\n - R: text (line 3)\n');
    assert.match(
      warningsText([warning, { ...warning, short: 'S: x (line 4)' }]),
      /2 warnings found .*\n - R: text \(line 3\)\n - S: x \(line 4\)\n$/,
    );
    assert.equal(warningsText([]), '');
  });

  it('of explanations, for steps that have one', () => {
    const model = new BuildModel();
    for (const event of [vertex('a', 'A'), vertex('b', '[1/2] COPY . .'), vertex('c', '[2/2] RUN x')]) model.accept(event);
    model.accept({ kind: 'explanation', vertex: 'b', explanation: { cached: true, reasons: [] } });
    model.accept({ kind: 'explanation', vertex: 'c', explanation: { cached: false, reasons: ['the input a changed', 'V is 2'] } });
    assert.equal(explanationsText(model.steps), 'HIT   [1/2] COPY . .\nMISS  [2/2] RUN x: the input a changed; V is 2\n');
  });
});

describe('amountText', () => {
  it('has BuildKit figures', () =>
    assert.deepEqual([0, 999, 1000, 1_234_567, 5e9].map(amountText), ['0B', '999B', '1.00kB', '1.23MB', '5.00GB']));
});
