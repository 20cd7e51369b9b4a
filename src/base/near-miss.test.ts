import assert from 'node:assert/strict';
import { it } from 'node:test';
import { editDistance, nearest } from './near-miss.ts';

it('editDistance counts a swap of neighbours as one', () => {
  assert.deepEqual(
    [editDistance('detach', 'detatch'), editDistance('form', 'from'), editDistance('', 'abc'), editDistance('a', 'a')],
    [1, 1, 3, 0],
  );
});

it('nearest suggests what is close and nothing else', () => {
  assert.equal(nearest('detatch', ['attach', 'detach', 'name']), 'detach');
  assert.equal(nearest('x', ['network', 'name']), null);
  assert.equal(nearest('imgae', ['image', 'images']), 'image');
});
