import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableElement } from './table-elements.ts';
import { TableState } from './table-state.ts';

const element = (key: number, data: number | null = null): TableElement => ({
  set: 'bridges',
  key: Buffer.from([key]),
  data: data === null ? null : Buffer.from([data]),
});

test('TableState counts who wants an element', () => {
  const state = new TableState();
  assert.deepEqual(state.prepare([], [element(1)]), { remove: [], add: [element(1)] });
  state.keep([], [element(1)]);
  assert.deepEqual(state.prepare([], [element(1)]), { remove: [], add: [] }, 'the second one changes nothing');
  state.keep([], [element(1)]);
  assert.deepEqual(state.prepare([element(1)], []), { remove: [], add: [] });
  state.keep([element(1)], []);
  assert.deepEqual(state.prepare([element(1)], []), { remove: [element(1)], add: [] });
  state.keep([element(1)], []);
  assert.deepEqual(state.elements, []);
});

test('TableState.prepare: replaced by the same is no change, by other data is one', () => {
  const state = new TableState();
  state.keep([], [element(1, 7)]);
  assert.deepEqual(state.prepare([element(1, 7)], [element(1, 7)]), { remove: [], add: [] });
  assert.deepEqual(state.prepare([element(1, 7)], [element(1, 8)]), { remove: [element(1, 7)], add: [element(1, 8)] });
});

test('TableState.difference leads from what is there to what is wanted', () => {
  const state = new TableState();
  state.keep([], [element(1), element(2, 7)]);
  assert.deepEqual(state.difference([element(2, 8), element(3), element(1)]), {
    remove: [element(2, 8), element(3)],
    add: [element(2, 7)],
  });
});
