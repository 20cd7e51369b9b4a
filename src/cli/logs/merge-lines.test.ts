import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import test from 'node:test';
import fc from 'fast-check';
import { encodeFrame } from '../../wire/stream-frames.ts';
import { type LogLine, logLines } from './log-source.ts';
import { LineMerge } from './merge-lines.ts';

const time = (index: number) => `2026-01-01T00:00:00.${String(index).padStart(9, '0')}Z`;
const line = (index: number): LogLine => ({ time: time(index), stderr: false, text: Buffer.from(String(index)) });

async function* sourceOf(lines: readonly LogLine[]): AsyncGenerator<LogLine> {
  for (const each of lines) {
    await new Promise(setImmediate);
    yield each;
  }
}

test('LineMerge: the order of time, whatever the sources (property)', async () => {
  const sources = fc.array(fc.array(fc.nat(999), { maxLength: 20 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(sources, async (lists) => {
      const merge = new LineMerge(10_000);
      for (const [index, list] of lists.entries()) merge.add(String(index), sourceOf(list.toSorted((a, b) => a - b).map(line)));
      merge.close();
      const seen: number[] = [];
      for await (const { text } of merge) seen.push(Number(text));
      assert.deepEqual(
        seen,
        lists.flat().sort((a, b) => a - b),
      );
    }),
    { numRuns: 50 },
  );
});

test('LineMerge: a silent source holds nobody up, one added later joins, a failure is told', async () => {
  const merge = new LineMerge(20);
  const silent = new PassThrough();
  merge.add('silent', logLines(silent, false));
  merge.add('loud', sourceOf([line(1), line(2)]));
  const lines = merge[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await lines.next();
    return `${value?.name} ${value?.text}`;
  };
  assert.equal(await next(), 'loud 1');
  assert.equal(await next(), 'loud 2');
  merge.add('late', sourceOf([line(3)]));
  assert.equal(await next(), 'late 3');
  silent.write(`${time(4)} x\n`);
  assert.equal(await next(), 'silent x');
  merge.close();
  silent.destroy(new Error('gone'));
  await assert.rejects(lines.next(), /gone|premature/i);
});

test('logLines: frames cut anywhere, both streams, long lines in pieces put together', async () => {
  const stamp = time(5);
  const wire = Buffer.concat([
    encodeFrame(1, Buffer.from(`${stamp} first part,`)),
    encodeFrame(2, Buffer.from(`${stamp} error\n`)),
    encodeFrame(1, Buffer.from(`${stamp} second\n`)),
    encodeFrame(1, Buffer.from(`${stamp} torn`)),
  ]);
  for (const size of [1, 7, 1000]) {
    const chunks = Array.from({ length: Math.ceil(wire.length / size) }, (_, index) => wire.subarray(index * size, (index + 1) * size));
    const seen: string[] = [];
    for await (const { stderr, text } of logLines(Readable.from(chunks), true)) seen.push(`${stderr ? 'err' : 'out'} ${text}`);
    assert.deepEqual(seen, ['err error', 'out first part,second', 'out torn']);
  }
});
