import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nextLink } from './link-header.ts';

test('nextLink: the target of rel=next, however it is written', () => {
  assert.equal(nextLink('</v2/a/tags/list?last=b&n=2>; rel="next"'), '/v2/a/tags/list?last=b&n=2');
  assert.equal(nextLink('<x>; rel=prev, <a,b>; title="c, d"; rel="last next"'), 'a,b');
  assert.equal(nextLink('<y>; REL=Next'), 'y');
  assert.equal(nextLink('<x>; rel="prev"'), null);
  assert.equal(nextLink('x; rel=next'), null);
  assert.equal(nextLink('<x; rel=next'), null);
  assert.equal(nextLink(undefined), null);
});

test('nextLink: any text ends', () => {
  const piece = fc.constantFrom('<', '>', ';', ',', '"', 'rel', '=', 'next', ' ', 'a');
  fc.assert(fc.property(fc.array(piece, { maxLength: 100 }), (pieces) => void nextLink(pieces.join(''))));
});
