import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProgressMessage } from '../../client/types.ts';
import { CliError, ExitWithCode } from '../cli-error.ts';
import type { CliOutput } from '../cli-io.ts';
import { showProgress } from './show-progress.ts';

/** A terminal, as far as the block of live lines needs one: what it shows, with what scrolled away. */
class Screen extends Writable {
  readonly isTTY: boolean = true;
  columns: number;
  rows: number;
  #lines: string[] = [''];
  #row = 0;
  #column = 0;

  constructor(columns: number, rows: number) {
    super({ decodeStrings: false });
    this.columns = columns;
    this.rows = rows;
  }

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    for (const [token] of String(chunk).matchAll(/\x1b\[\d*[AKJ]|./gsu)) this.#take(token);
    done();
  }

  #take(token: string): void {
    const up = /^\x1b\[(\d+)A$/.exec(token);
    if (up !== null) this.#row = Math.max(0, this.#row - Number(up[1]));
    else if (token === '\x1b[K') this.#lines[this.#row] = (this.#lines[this.#row] ?? '').slice(0, this.#column);
    else if (token === '\x1b[J') {
      this.#lines[this.#row] = (this.#lines[this.#row] ?? '').slice(0, this.#column);
      this.#lines.length = this.#row + 1;
    } else if (token === '\r') this.#column = 0;
    else if (token === '\n') this.#next();
    else {
      assert.ok(token >= ' ', `an escape that is not known: ${JSON.stringify(token)}`);
      if (this.#column >= this.columns) this.#next();
      const line = (this.#lines[this.#row] ?? '').padEnd(this.#column);
      this.#lines[this.#row] = line.slice(0, this.#column) + token + line.slice(this.#column + 1);
      this.#column += 1;
    }
  }

  #next(): void {
    this.#row += 1;
    this.#column = 0;
    this.#lines[this.#row] ??= '';
  }

  /** As terminals do it: lines that are too wide for the new width are wrapped. */
  resize(columns: number): void {
    const wrapped = this.#lines.map((line) => line.match(new RegExp(`.{1,${columns}}`, 'g')) ?? ['']);
    this.#row = wrapped.slice(0, this.#row).flat().length;
    this.#lines = wrapped.flat();
    this.columns = columns;
    this.emit('resize');
  }

  get text(): string {
    return this.#lines.map((line) => line.trimEnd()).join('\n');
  }
}

class Pipe extends Screen {
  override readonly isTTY = false;
}

const layer = (id: string, status: string, current?: number, total?: number): ProgressMessage => ({
  id,
  status,
  progressDetail: { ...(current === undefined ? {} : { current }), ...(total === undefined ? {} : { total }) },
});

const pull: readonly ProgressMessage[] = [
  { status: 'Pulling from bb', id: 'latest' },
  layer('aaaaaaaaaaaa', 'Already exists'),
  layer('bbbbbbbbbbbb', 'Pulling fs layer'),
  layer('cccccccccccc', 'Pulling fs layer'),
  layer('bbbbbbbbbbbb', 'Downloading', 1_000_000, 4_000_000),
  layer('cccccccccccc', 'Waiting'),
  layer('bbbbbbbbbbbb', 'Downloading', 4_000_000, 4_000_000),
  layer('bbbbbbbbbbbb', 'Download complete'),
  layer('bbbbbbbbbbbb', 'Extracting', 4_000_000, 4_000_000),
  layer('cccccccccccc', 'Downloading', 1000, 1000),
  layer('bbbbbbbbbbbb', 'Pull complete'),
  layer('cccccccccccc', 'Pull complete'),
  { status: 'Digest: sha256:1' },
  { status: 'Status: Downloaded newer image for bb:latest' },
];

async function* stream(messages: readonly ProgressMessage[], pauseMs = 0): AsyncGenerator<ProgressMessage> {
  for (const message of messages) {
    if (pauseMs > 0) await delay(pauseMs);
    yield message;
  }
}

const show = (messages: AsyncIterable<ProgressMessage>, output: Screen | null) =>
  showProgress(messages, output as unknown as CliOutput | null);
const masked = (text: string): string => text.replace(/[\d.]+s( \([^)]*\))?/g, '<time>');

describe('showProgress without a terminal', () => {
  it('prints a line for each change of state, and one that sums up', async () => {
    const pipe = new Pipe(1000, 24);
    await show(stream(pull), pipe);
    assert.equal(
      masked(pipe.text),
      [
        'latest: Pulling from bb',
        'aaaaaaaaaaaa: Already exists',
        'bbbbbbbbbbbb: Pulling fs layer',
        'cccccccccccc: Pulling fs layer',
        'cccccccccccc: Waiting',
        'bbbbbbbbbbbb: Download complete',
        'bbbbbbbbbbbb: Pull complete',
        'cccccccccccc: Pull complete',
        'Downloaded 4MB in <time>; 1 of 3 layers was here already',
        'Digest: sha256:1',
        'Status: Downloaded newer image for bb:latest',
        '',
      ].join('\n'),
    );
  });

  it('says nothing of what has no layers', async () => {
    const pipe = new Pipe(1000, 24);
    await show(stream([{ status: 'Pulling from bb', id: 'latest' }, { status: 'Status: Image is up to date for bb:latest' }]), pipe);
    assert.equal(pipe.text, 'latest: Pulling from bb\nStatus: Image is up to date for bb:latest\n');
  });
});

describe('showProgress on a terminal', () => {
  it('keeps a line for each layer and ends with the summary', async () => {
    const screen = new Screen(80, 24);
    await show(stream(pull), screen);
    assert.equal(
      masked(screen.text),
      [
        'latest: Pulling from bb',
        'aaaaaaaaaaaa: Already exists',
        'bbbbbbbbbbbb: Pull complete',
        'cccccccccccc: Pull complete',
        'Downloaded 4MB in <time>; 1 of 3 layers was here already',
        'Digest: sha256:1',
        'Status: Downloaded newer image for bb:latest',
        '',
      ].join('\n'),
    );
  });

  for (const columns of [200, 60, 25, 3]) {
    it(`leaves no remains at ${columns} columns`, async () => {
      const screen = new Screen(columns, 24);
      await show(stream(pull, 20), screen);
      const expected = new Screen(columns, 24);
      await show(stream(pull), expected);
      // The summary wraps where its figures let it.
      const lines = (text: string): string | undefined => text.split('Do\n').join('Do').split('Dow')[0];
      assert.equal(lines(screen.text), lines(expected.text));
    });
  }

  it('survives a terminal that gets narrower, and wider again', async () => {
    const screen = new Screen(100, 24);
    async function* resizing(): AsyncGenerator<ProgressMessage> {
      for (const [at, message] of pull.entries()) {
        yield message;
        if (at === 6) await delay(150);
        if (at === 6) screen.resize(30);
        if (at === 9) await delay(150);
        if (at === 9) screen.resize(100);
      }
    }
    await show(resizing(), screen);
    assert.equal(screen.text.split('\n').filter((line) => line.startsWith('bbbbbbbbbbbb')).length, 1, screen.text);
    assert.match(screen.text, /^latest: Pulling from bb\naaaaaaaaaaaa: Already exists\nbbbbbbbbbbbb: Pull complete\n/);
  });

  it('shows those in motion when there are more layers than lines', async () => {
    const screen = new Screen(60, 6);
    const many = Array.from({ length: 20 }, (_, at) => layer(`layer${String(at).padStart(7, '0')}`, 'Pulling fs layer'));
    const { promise, resolve } = Promise.withResolvers<void>();
    async function* stalled(): AsyncGenerator<ProgressMessage> {
      yield* many;
      yield layer('layer0000013', 'Downloading', 10, 100);
      await promise;
    }
    const shown = show(stalled(), screen);
    await delay(150);
    assert.match(screen.text, /layer0000013: Downloading {2}\[=> .* 10B\/100B/);
    assert.match(screen.text, /… and 17 more\n0\/20 layers {2}10B/);
    assert.ok(screen.text.split('\n').length <= 6, screen.text);
    resolve();
    await shown;
  });

  it('ends with the words of an error, its lines left as they are', async () => {
    const screen = new Screen(80, 24);
    const failing = stream([...pull.slice(0, 5), { error: 'broken', errorDetail: { message: 'broken' } }]);
    await assert.rejects(show(failing, screen), (error) => error instanceof CliError && error.message === 'broken');
    assert.match(screen.text, /bbbbbbbbbbbb: Downloading .*1MB\/4MB/);
    assert.doesNotMatch(screen.text, /Downloaded/);
  });

  it('ends at once with Ctrl-C, in order', async () => {
    const screen = new Screen(80, 24);
    async function* endless(): AsyncGenerator<ProgressMessage> {
      yield* pull.slice(0, 5);
      await new Promise(() => {});
    }
    const options = { onInterrupt: 'cancelled' };
    const shown = showProgress(endless(), screen as unknown as CliOutput, options);
    await delay(50);
    process.emit('SIGINT');
    await assert.rejects(shown, (error) => error instanceof ExitWithCode && error.exitCode === 130);
    assert.match(screen.text, /\ncancelled\n$/);
    assert.equal(process.listenerCount('SIGINT'), 0);
  });
});
