import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRouteTable, type Method, type Route } from './route-table.ts';

const route = (method: Method, pattern: string): Route => ({ method, pattern, body: 'any', handle: async () => undefined });
const table = createRouteTable(
  [
    '/images/{name:*}',
    '/images/json',
    '/images/{name:*}/json',
    '/images/{name:*}/get',
    '/images/get',
    '/containers/{id}/json',
    '/containers/json',
  ].map((pattern) => route('GET', pattern)),
);
const found = (path: string) => {
  const match = table.match('GET', path);
  return match === null ? null : [match.route.pattern, match.parameters.name ?? match.parameters.id];
};

describe('a route table', () => {
  it('takes the longest suffix, and whole words before parameters', () => {
    assert.deepEqual(found('/images/json'), ['/images/json', undefined]);
    assert.deepEqual(found('/images/a/b:c/json'), ['/images/{name:*}/json', 'a/b:c']);
    assert.deepEqual(found('/images/json/json'), ['/images/{name:*}/json', 'json']);
    assert.deepEqual(found('/images/a/json/get'), ['/images/{name:*}/get', 'a/json']);
    assert.deepEqual(found('/images/a/b'), ['/images/{name:*}', 'a/b']);
  });

  it('gives one segment to a plain parameter, decoded', () => {
    assert.deepEqual(found('/containers/a%2Fb/json'), ['/containers/{id}/json', 'a/b']);
    assert.equal(found('/containers/a/b/json'), null);
    assert.equal(found('/containers//json'), null);
    assert.equal(found('/containers/json/'), null);
  });

  it('knows methods apart, and nothing of HEAD by itself', () => {
    assert.equal(table.match('POST', '/images/json'), null);
    assert.equal(table.match('HEAD', '/images/json'), null);
    assert.equal(table.match('__proto__', '/images/json'), null);
  });

  it('refuses what is no UTF-8', () => assert.throws(() => found('/containers/%ff/json'), /not percent-encoded UTF-8/));

  it('never fails on a path otherwise', () => {
    fc.assert(fc.property(fc.webPath(), (path) => void table.match('GET', path)));
  });
});
