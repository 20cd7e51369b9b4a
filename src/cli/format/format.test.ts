import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Struct } from '../template/go-value.ts';
import { ellipsis, shortId } from './ellipsis.ts';
import { formatRows } from './row-format.ts';
import { binarySize, humanSize } from './size-text.ts';
import { alignColumns } from './tab-writer.ts';

describe('humanSize', () => {
  const cases: readonly (readonly [number, number, string])[] = [
    [0, 4, '0B'],
    [999, 4, '999B'],
    [1000, 4, '1kB'],
    [1024, 4, '1.024kB'],
    [4_261_550, 3, '4.26MB'],
    [4_261_550, 4, '4.262MB'],
    [1_500_000_000, 4, '1.5GB'],
    [13_256, 3, '13.3kB'],
    // Docker's own wart: %.3g of 999.9 is written with an exponent.
    [999_900, 3, '1e+03kB'],
    [-2048, 4, '-2048B'],
  ];
  for (const [bytes, digits, text] of cases) it(`${bytes} → ${text}`, () => assert.equal(humanSize(bytes, digits), text));

  it('binarySize counts in powers of 1024', () => assert.deepEqual([binarySize(1024), binarySize(25_275_662_336)], ['1KiB', '23.54GiB']));
});

describe('alignColumns', () => {
  it('is at least ten wide, with three between columns, and pads no last column', () => {
    assert.equal(alignColumns('A\tB\nlonger than ten\tx'), 'A                 B\nlonger than ten   x');
    assert.equal(alignColumns('A\tB\nx\ty'), 'A         B\nx         y');
  });

  it('counts characters, not bytes', () => {
    assert.equal(alignColumns('é\tB\nabcdefghijk\ty'), 'é             B\nabcdefghijk   y');
  });

  it('ends a column where a line lacks it', () => {
    assert.equal(alignColumns('a\tb\nno cells\nlong long long\tb'), 'a         b\nno cells\nlong long long   b');
  });

  it('keeps every cell', () => {
    const cell = fc.string().map((text) => text.replace(/[\t\n]/g, ''));
    fc.assert(
      fc.property(fc.array(fc.array(cell, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 }), (rows) => {
        const lines = alignColumns(rows.map((row) => row.join('\t')).join('\n')).split('\n');
        rows.forEach((row, at) => {
          for (const text of row) assert.ok(lines[at]?.includes(text));
        });
      }),
    );
  });
});

describe('formatRows', () => {
  const rows = [
    new Struct('row', { ID: '1', Name: '<a>' }, { sorted: true }),
    new Struct('row', { ID: '22', Name: 'b' }, { sorted: true }),
  ];
  const base = { defaultTable: '{{.ID}}\t{{.Name}}', headers: { ID: 'THE ID', Name: 'NAME' }, raw: 'id: {{.ID}}' };
  const cases: readonly (readonly [string, string])[] = [
    ['', 'THE ID    NAME\n1         <a>\n22        b\n'],
    ['table', 'THE ID    NAME\n1         <a>\n22        b\n'],
    ['table {{.Name}}\\t{{upper .ID}}', 'NAME      THE ID\n<a>       1\nb         22\n'],
    ['json', '{"ID":"1","Name":"\\u003ca\\u003e"}\n{"ID":"22","Name":"b"}\n'],
    ['{{.ID}}\\t{{.Name}}', '1\t<a>\n22\tb\n'],
    ['raw', 'id: 1\nid: 22\n'],
    ['{{println .ID}}x', '1\nx\n22\nx\n'],
  ];
  for (const [format, text] of cases)
    it(format === '' ? '(default)' : format, () => assert.equal(formatRows({ ...base, format }, rows), text));

  it('prints the titles alone when there is nothing', () => assert.equal(formatRows({ ...base, format: '' }, []), 'THE ID    NAME\n'));
  it('prints nothing for a template without rows, but knows a wrong field', () => {
    assert.equal(formatRows({ ...base, format: '{{.ID}}' }, []), '');
    assert.throws(() => formatRows({ ...base, format: '{{.Nope}}' }, []), /can't evaluate field Nope/);
  });
});

it('ellipsis and shortId cut', () => {
  assert.deepEqual([ellipsis('abcdef', 4), ellipsis('abc', 4), ellipsis('abc', 1), ellipsis('abc', 0)], ['abc…', 'abc', 'a', '']);
  assert.deepEqual(
    [shortId(`sha256:${'ab'.repeat(32)}`), shortId('cd'.repeat(32)), shortId('<missing>')],
    ['abababababab', 'cdcdcdcdcdcd', '<missing>'],
  );
});
