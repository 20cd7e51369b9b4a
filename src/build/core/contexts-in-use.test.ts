import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDockerfile } from '../../dockerfile/parse-dockerfile.ts';
import { contextsInUse } from './contexts-in-use.ts';

const named = new Map([['lib', { kind: 'client' as const, name: 'lib' }]]);

/** source → contexts that are surely read, by the last stage */
const cases: readonly (readonly [string, readonly string[]])[] = [
  ['FROM a\nCOPY f /', ['']],
  ['FROM a\nADD https://h/x f /', ['']],
  ['FROM a\nADD https://h/x /', []],
  ['FROM a\nCOPY <<E /x\ny\nE', []],
  ['FROM a\nCOPY $F /', []],
  ['FROM a\nRUN --mount=target=/src make', ['']],
  ['FROM a\nRUN --mount=type=cache,target=/c --mount=type=bind,from=lib,target=/l make', ['lib']],
  ['FROM a AS b\nCOPY f /\nFROM a\nRUN x', []],
  ['FROM a AS b\nCOPY f /\nFROM a\nCOPY --from=b / /', ['']],
  ['FROM a AS b\nCOPY f /\nFROM a\nCOPY --from=0 / /', ['']],
  ['FROM lib\nRUN x', ['lib']],
  ['FROM a AS lib\nRUN x', ['lib']],
  ['FROM a\nCOPY --from=lib / /', ['lib']],
  // It fails when it is planned, with its place.
  ['FROM a\nRUN --mount="broken make', ['']],
];

for (const [source, expected] of cases) {
  test(`contextsInUse ${JSON.stringify(source)}`, () => {
    assert.deepEqual([...contextsInUse(parseDockerfile(source), { target: null, namedContexts: named })].sort(), expected);
  });
}
