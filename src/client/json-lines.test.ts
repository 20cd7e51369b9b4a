import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { jsonValues } from './json-lines.ts';

async function collect(pieces: readonly Buffer[]): Promise<unknown[]> {
  async function* source() {
    yield* pieces;
  }
  const values: unknown[] = [];
  for await (const value of jsonValues(source())) values.push(value);
  return values;
}

describe('jsonValues', () => {
  it('finds objects however they are separated and cut', async () => {
    const separators = fc.constantFrom('', '\n', '\r\n', '  ');
    const objects = fc.array(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 })), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(objects, separators, fc.integer({ min: 1, max: 9 }), async (values, separator, step) => {
        const bytes = Buffer.from(values.map((value) => JSON.stringify(value)).join(separator));
        const pieces: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step));
        assert.deepEqual(await collect(pieces), JSON.parse(JSON.stringify(values)));
      }),
    );
  });

  it('quotes a line that is not JSON', async () => {
    await assert.rejects(collect([Buffer.from('oops\n')]), /not JSON: oops/);
  });
});
