import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskSecrets } from './secret-mask.ts';

function masked(secrets: readonly string[], pieces: readonly string[]): string {
  let text = '';
  const output = maskSecrets(
    (_, bytes) => {
      text += Buffer.from(bytes).toString('latin1');
    },
    secrets.map((secret) => Buffer.from(secret, 'latin1')),
  );
  for (const piece of pieces) output.sink('stdout', Buffer.from(piece, 'latin1'));
  output.end();
  return text;
}

test('maskSecrets: a value is not shown, however the output is cut', () => {
  const text = 'a s3cret-s3cre s3cret\nb s3crets3cret end s3cr';
  const expected = 'a ****-s3cre ****\nb ******** end s3cr';
  for (let size = 1; size <= text.length; size++) {
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, index) => text.slice(index * size, (index + 1) * size));
    assert.equal(masked(['s3cret'], pieces), expected, `pieces of ${size}`);
  }
});

test('maskSecrets: of several values the longest at a place counts, and one that repeats itself is found', () => {
  assert.equal(masked(['pass', 'password'], ['pass', 'word pass', 'es']), '**** ****es');
  assert.equal(masked(['pass', 'password'], ['x pass', 'wo']), 'x ****wo');
  assert.equal(masked(['aab'], ['aa', 'aab', 'a', 'a']), 'aa****aa');
  assert.equal(masked(['\xff\x00'], ['x\xff', '\x00y']), 'x****y');
});

test('maskSecrets: each stream is its own, and what is no start of a value is given out at once', () => {
  const seen: string[] = [];
  const output = maskSecrets((stream, bytes) => seen.push(`${stream} ${Buffer.from(bytes).toString()}`), [Buffer.from('key')]);
  output.sink('stdout', Buffer.from('done\n'));
  output.sink('stdout', Buffer.from('k'));
  output.sink('stderr', Buffer.from('ey\n'));
  assert.deepEqual(seen, ['stdout done\n', 'stderr ey\n']);
  output.end();
  assert.deepEqual(seen.slice(2), ['stdout k']);
});

test('maskSecrets: without secrets, or with empty ones, the output is what it was', () => {
  assert.equal(masked([], ['a']), 'a');
  assert.equal(masked([''], ['a']), 'a');
});
