import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { booleanFilter, parseFilters, requireKnownFilters } from './filters.ts';

describe('parseFilters', () => {
  const cases: readonly (readonly [string | null, Record<string, readonly string[]>])[] = [
    [null, {}],
    ['', {}],
    ['null', {}],
    ['{}', {}],
    ['{"name":{"c1":true,"c2":true}}', { name: ['c1', 'c2'] }],
    ['{"name":{"c1":false}}', { name: [] }],
    ['{"name":["c1"],"label":["a=b","c"]}', { name: ['c1'], label: ['a=b', 'c'] }],
  ];
  for (const [text, expected] of cases) {
    it(`reads ${text}`, () => assert.deepEqual({ ...parseFilters(text) }, expected));
  }

  for (const text of ['{', '[]', '"x"', '1', '{"name":1}', '{"name":"x"}', '{"name":[1]}']) {
    it(`refuses ${text}`, () => assert.throws(() => parseFilters(text), /invalid filter/));
  }

  it('keeps a key named __proto__ as a key', () => {
    const filters = parseFilters('{"__proto__":["x"]}');
    assert.deepEqual(Object.keys(filters), ['__proto__']);
    assert.throws(() => requireKnownFilters(filters, new Set(['name'])), { message: "invalid filter '__proto__'" });
  });

  it('both forms say the same', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.uniqueArray(fc.string())), (lists) => {
        const maps = Object.fromEntries(
          Object.entries(lists).map(([key, values]) => [key, Object.fromEntries(values.map((value) => [value, true]))]),
        );
        const sorted = (filters: object) => Object.entries(filters).map(([key, values]) => [key, [...values].sort()]);
        assert.deepEqual(sorted(parseFilters(JSON.stringify(maps))), sorted(parseFilters(JSON.stringify(lists))));
      }),
    );
  });
});

describe('booleanFilter', () => {
  it('reads what clients send', () => {
    assert.equal(booleanFilter({}, 'dangling'), null);
    assert.equal(booleanFilter({ dangling: ['true'] }, 'dangling'), true);
    assert.equal(booleanFilter({ dangling: ['0'] }, 'dangling'), false);
    assert.throws(() => booleanFilter({ dangling: ['maybe'] }, 'dangling'), /invalid filter/);
    assert.throws(() => booleanFilter({ dangling: ['true', 'false'] }, 'dangling'), /same time/);
  });
});
