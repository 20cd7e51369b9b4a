import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { differences } from './object-differences.ts';
import { differenceText } from './show-differences.ts';

const text = (from: unknown, to: unknown) => differenceText('a', 'b', differences(from, to), false).split('\n').slice(2, -1);

describe('differences', () => {
  const cases: readonly (readonly [string, unknown, unknown, readonly string[]])[] = [
    ['a value', { HostConfig: { Memory: 0 } }, { HostConfig: { Memory: 64 } }, ['- HostConfig.Memory: 0', '+ HostConfig.Memory: 64']],
    ['identity says nothing', { Id: '1', Name: '/a', State: { Pid: 5 } }, { Id: '2', Name: '/b', State: { Pid: 6 } }, []],
    ['nothing in other words', { A: null, B: [], C: {}, D: '' }, { A: [], B: null, E: {} }, []],
    ['a variable by its name', { Env: ['A=1', 'B=2'] }, { Env: ['B=3', 'A=1'] }, ['- Env[B]: B=2', '+ Env[B]: B=3']],
    ['what one lacks', { Labels: { k: 'v' } }, { Labels: null, Env: ['X=1'] }, ['- Labels.k: v', '+ Env[X]: X=1']],
    [
      'mounts by where they are',
      { Mounts: [{ Destination: '/a', RW: true }] },
      { Mounts: [{ Destination: '/b', RW: true }, { Destination: '/a', RW: false }] },
      ['- Mounts[/a].RW: true', '+ Mounts[/a].RW: false', '+ Mounts[/b].Destination: /b', '+ Mounts[/b].RW: true'],
    ],
    ['words in their order', { Cmd: ['a', 'b'] }, { Cmd: ['a', 'c', 'd'] }, ['- Cmd[1]: b', '+ Cmd[1]: c', '+ Cmd[2]: d']],
    ['another type', { A: { b: 1 } }, { A: 'text' }, ['- A: {"b":1}', '+ A: text']],
  ]; // biome-ignore format: a table
  for (const [name, from, to, lines] of cases) it(name, () => assert.deepEqual(text(from, to), lines));

  it('finds none in the same, and never fails', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        assert.deepEqual(differences(one, structuredClone(one)), []);
        differences(one, other);
      }),
    );
  });
});
