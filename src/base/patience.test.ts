import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withPatience } from './patience.ts';

test('withPatience: the answer, its failure, or that it is late', async () => {
  assert.equal(await withPatience(Promise.resolve('here'), 1000), 'here');
  assert.equal(await withPatience(Promise.resolve('here'), 1e12), 'here');
  await assert.rejects(withPatience(Promise.reject(new Error('no')), 1000), /no/);
  const late = Promise.withResolvers<string>();
  assert.equal(await withPatience(late.promise, 1), 'late');
  // Nobody's unhandled error.
  late.reject(new Error('later'));
});
