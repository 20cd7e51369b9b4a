import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type EntryFormat, formatBlock } from './log-entries.ts';

const raw: EntryFormat = { stdout: true, stderr: true, timestamps: false, details: false, since: null, until: null, framed: false };

function entry(log: string, stream = 'stdout', time = '2026-01-02T03:04:05.678Z', attrs?: Record<string, string>): string {
  return `${JSON.stringify({ log, stream, ...(attrs && { attrs }), time })}\n`;
}

const instant = (time: string): bigint => BigInt(Date.parse(time)) * 1_000_000n;

function show(lines: string, format: Partial<EntryFormat> = {}): string {
  return formatBlock(Buffer.from(lines), { ...raw, ...format }).output.toString();
}

test('formatBlock: one frame for each log line', () => {
  const { output } = formatBlock(Buffer.from(entry('hi\n') + entry('oops\n', 'stderr')), { ...raw, framed: true });
  assert.equal(
    output.toString('latin1'),
    '\x01\0\0\0' +
      '\0\0\0\x03' +
      'hi\n' + // stdout, 3 bytes
      '\x02\0\0\0' +
      '\0\0\0\x05' +
      'oops\n', // stderr, 5 bytes
  );
});

test('formatBlock: partial lines join, streams are chosen', () => {
  assert.equal(show(entry('long ') + entry('line\n') + entry('e\n', 'stderr')), 'long line\ne\n');
  assert.equal(show(entry('o\n') + entry('e\n', 'stderr'), { stdout: false }), 'e\n');
});

test('formatBlock: timestamps have nine digits, details come between them and the text', () => {
  assert.equal(show(entry('x\n'), { timestamps: true }), '2026-01-02T03:04:05.678000000Z x\n');
  assert.equal(show(entry('x\n', 'stdout', '2026-01-02T03:04:05Z'), { timestamps: true }), '2026-01-02T03:04:05.000000000Z x\n');
  assert.equal(
    show(entry('x\n', 'stdout', '2026-01-02T03:04:05.123456789Z', { b: 'two words', a: '1' }), { timestamps: true, details: true }),
    '2026-01-02T03:04:05.123456789Z a=1,b=two+words x\n',
  );
});

test('formatBlock: since leaves out earlier lines, until ends', () => {
  const lines = ['01', '02', '03'].map((second) => entry(`${second}\n`, 'stdout', `2026-01-01T00:00:${second}Z`)).join('');
  assert.equal(show(lines, { since: instant('2026-01-01T00:00:02Z') }), '02\n03\n');
  const cut = formatBlock(Buffer.from(lines), { ...raw, until: instant('2026-01-01T00:00:02Z') });
  assert.deepEqual([cut.output.toString(), cut.past], ['01\n02\n', true]);
});

test('formatBlock: since and until know nanoseconds', () => {
  const lines = ['.1', '.100000001', '.100000002'].map((part) => entry(`${part}\n`, 'stdout', `2026-01-01T00:00:00${part}Z`)).join('');
  const middle = instant('2026-01-01T00:00:00.1Z') + 1n;
  assert.equal(show(lines, { since: middle }), '.100000001\n.100000002\n');
  assert.equal(show(lines, { until: middle }), '.1\n.100000001\n');
  assert.equal(show(entry('x\n', 'stdout', '2026-01-01T01:00:00+01:00'), { since: instant('2026-01-01T00:00:01Z') }), '');
});

test('formatBlock: details of the container where the line has none of its own', () => {
  const format = { details: true, attributes: { tag: 'a/b' } };
  assert.equal(show(entry('x\n') + entry('y\n', 'stdout', undefined, { k: 'v' }), format), 'tag=a%2Fb x\nk=v y\n');
});

test('formatBlock: a torn line costs only itself', () => {
  assert.equal(show(`{"log":"torn","str${entry('whole\n')}garbage\n${entry('next\n')}`), 'whole\nnext\n');
});

test('formatBlock: gives back exactly what was logged (property)', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }).map((s) => s.toWellFormed()),
    fc.constantFrom('a\\nb', '","stream":"', '\\', 'x\n', '\\n'),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.boolean())), (logs) => {
      const lines = logs.map(([log, newline]) => entry(newline ? `${log}\n` : log)).join('');
      assert.equal(show(lines), logs.map(([log, newline]) => (newline ? `${log}\n` : log)).join(''));
    }),
  );
});
