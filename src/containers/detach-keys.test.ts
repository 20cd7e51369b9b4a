import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';

test('parseDetachKeys: Docker’s syntax', () => {
  assert.deepEqual([...parseDetachKeys(null)], [16, 17]);
  assert.deepEqual([...parseDetachKeys('')], [16, 17]);
  assert.deepEqual([...parseDetachKeys('ctrl-a,a,ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,~')], [1, 97, 0, 27, 28, 29, 30, 31, 126]);
  for (const bad of ['ctrl-', 'ctrl-A', 'ab', 'ctrl-p,', 'é', 'ctrl-pp']) {
    assert.throws(() => parseDetachKeys(bad), { code: 'invalid', message: /Invalid detach keys \(/ }, bad);
  }
});

test('DetachScanner: passes on exactly what comes before the first occurrence, however the input is cut (property)', () => {
  const byte = fc.constantFrom(1, 2, 3);
  fc.assert(
    fc.property(
      fc.array(byte, { minLength: 1, maxLength: 4 }),
      fc.array(fc.array(byte, { maxLength: 5 }), { maxLength: 20 }),
      (keys, chunks) => {
        const scanner = new DetachScanner(Uint8Array.from(keys));
        const passed: number[] = [];
        let detached = false;
        for (const chunk of chunks) {
          const result = scanner.scan(Uint8Array.from(chunk));
          for (const piece of result.passed) passed.push(...piece);
          if (result.detached) {
            detached = true;
            break;
          }
        }
        if (!detached) passed.push(...scanner.flush());
        const input = chunks.flat();
        const at = input.findIndex((_, start) => keys.every((key, offset) => input[start + offset] === key));
        assert.equal(detached, at >= 0);
        assert.deepEqual(passed, at >= 0 ? input.slice(0, at) : input);
      },
    ),
  );
});

test('DetachScanner: does not copy what it passes on', () => {
  const chunk = Uint8Array.from([1, 2, 3]);
  const [piece] = new DetachScanner(parseDetachKeys(null)).scan(chunk).passed;
  assert.equal(piece?.buffer, chunk.buffer);
});
