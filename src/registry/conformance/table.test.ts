/** Holds docs/registry-conformance.md and the tests together. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('./', import.meta.url);
const idForm = /(?:end-\d+[ab]?|push|errors|upgrade)\.\d+/g;

test('docs/registry-conformance.md: every requirement has a test, and every such test a requirement', () => {
  const table = readFileSync(new URL('../../../docs/registry-conformance.md', folder), 'utf8');
  const listed = [...table.matchAll(/^\| (\S+) \|/gm)].map((match) => match[1] ?? '').filter((id) => id.includes('.'));
  const titles = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .flatMap((name) =>
      [...readFileSync(new URL(name, folder), 'utf8').matchAll(/^test\('((?:[^'\\]|\\.)*)'/gm)].map((match) => match[1] ?? ''),
    );
  const tested = titles.flatMap((title) => title.match(idForm) ?? []);
  assert.deepEqual([...tested].sort(), [...listed].sort());
  assert.equal(new Set(listed).size, listed.length);
});
