import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Plan, Step } from './plan.ts';
import { encodePlan, hasTerminal, stepLayouts } from './plan-encoding.ts';
import { planOfEveryStep } from './plan-of-every-step.ts';

const header = readFileSync(new URL('../../native/plan.h', import.meta.url), 'utf8');

function planOf(step: Step): Plan {
  return { cloneFlags: 0, cgroup2: null, before: [], joins: [], steps: [{ step, reason: '', failure: '' }] };
}

describe('encodePlan', () => {
  it('has the same steps, codes, field kinds and field order as native/plan.h', () => {
    const rows = [...header.matchAll(/^\tX\((\w+), (\d+), "(\w*)"\) \/\* ([\w ]*?) ?\*\//gm)];
    const native = rows.map(([, name = '', code, kinds, names = '']) => [
      name.toLowerCase().replaceAll('_', '-'),
      Number(code),
      kinds,
      names.trim(),
    ]);
    const ours = Object.entries(stepLayouts).map(([op, [code, ...fields]]) => {
      const pairs = fields as readonly (readonly [string, string])[];
      return [op, code, pairs.map(([, kind]) => kind).join(''), pairs.map(([name]) => name).join(' ')];
    });
    assert.deepEqual(ours, native);
  });

  it('has a row for every step of the sample plan, and the fields of each step are all encoded', () => {
    for (const { step } of planOfEveryStep.steps) {
      const { op, ...fields } = step;
      const layout = stepLayouts[op] as readonly unknown[];
      assert.equal(layout.length - 1, Object.keys(fields).length, op);
    }
    assert.equal(planOfEveryStep.steps.length, Object.keys(stepLayouts).length);
  });

  it('annotated bytes: flags, cgroup, lists, one hostname step', () => {
    const bytes = encodePlan(planOf({ op: 'hostname', name: 'ab' })).toString('hex');
    const expected = [
      '00000000', // clone flags
      '00000000' + '00', // cgroup2: empty text, NUL
      '00000000', // before: no steps
      '00000000', // joins: none
      '01000000', // steps: one
      '10', //   code 16, hostname
      '02000000' + '6162' + '00', //   text "ab", NUL
    ];
    assert.equal(bytes, expected.join(''));
  });

  it('annotated bytes: rlimit with RLIM_INFINITY, and joins', () => {
    const plan: Plan = { ...planOf({ op: 'rlimit', resource: 7, soft: 1n, hard: -1n }), joins: [{ kind: 'init', nstypes: 0x20000 }] };
    const expected = [
      '00000000' + '0000000000' + '00000000',
      '01000000', // joins: one
      '02' + '00000200', //   kind 2, init; nstypes
      '01000000' + '14', // steps: one, code 20
      '07000000' + '0100000000000000' + 'ffffffffffffffff',
    ];
    assert.equal(encodePlan(plan).toString('hex'), expected.join(''));
  });

  it('refuses a NUL in a text by name', () => {
    assert.throws(() => encodePlan(planOf({ op: 'hostname', name: 'a\0b' })), /NUL/);
  });

  it('hasTerminal: by its step', () => {
    assert.equal(hasTerminal(planOfEveryStep), true);
    assert.equal(hasTerminal(planOf({ op: 'pivot' })), false);
  });
});
