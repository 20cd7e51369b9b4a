import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIptablesRules } from './iptables-command.ts';
import { effectOf, finalVerdict, type RuleEffect } from './rule-effect.ts';

const to = (kind: RuleEffect['kind'], chain = ''): RuleEffect => ({ kind, chain });

test('finalVerdict follows rules without conditions', () => {
  const chains: Record<string, readonly (RuleEffect | null)[]> = {
    empty: [],
    conditional: [null, null],
    rejects: [null, to('jump', 'noted'), to('jump', 'last')],
    noted: [to('return'), to('drop')],
    last: [to('drop')],
    leaves: [to('goto', 'empty'), to('drop')],
    accepts: [to('accept'), to('drop')],
    round: [to('jump', 'round')],
  };
  const verdict = (name: string, policy: 'accept' | 'drop'): string => finalVerdict(name, policy, (chain) => chains[chain] ?? []);
  assert.equal(verdict('empty', 'accept'), 'accept');
  assert.equal(verdict('empty', 'drop'), 'drop');
  assert.equal(verdict('conditional', 'accept'), 'accept');
  assert.equal(verdict('rejects', 'accept'), 'drop');
  assert.equal(verdict('leaves', 'accept'), 'accept');
  assert.equal(verdict('accepts', 'drop'), 'accept');
  assert.equal(verdict('round', 'drop'), 'drop');
});

test('effectOf: counters and logs are no conditions, a comparison is', () => {
  const plain = (name: string) => ({ name, verdict: null, target: '' });
  const drops = { name: 'immediate', verdict: { code: 0, chain: '' }, target: '' };
  assert.deepEqual(effectOf({ expressions: [plain('counter'), plain('log'), drops] }), to('drop'));
  assert.equal(effectOf({ expressions: [plain('meta'), plain('cmp'), drops] }), null);
  assert.deepEqual(effectOf({ expressions: [plain('reject')] }), to('drop'));
  assert.deepEqual(effectOf({ expressions: [{ ...plain('target'), target: 'REJECT' }] }), to('drop'));
  assert.deepEqual(effectOf({ expressions: [{ ...drops, verdict: { code: -3, chain: 'x' } }] }), to('jump', 'x'));
});

test('parseIptablesRules reads what iptables -S prints', () => {
  const { policies, rules } = parseIptablesRules(`-P INPUT ACCEPT
-P FORWARD DROP
-N ours
-A FORWARD -i eth0 -j ACCEPT
-A FORWARD -j ours
-A ours -j REJECT --reject-with icmp-port-unreachable
`);
  assert.equal(policies.get('FORWARD'), 'DROP');
  assert.deepEqual(rules.get('FORWARD'), [null, to('jump', 'ours')]);
  assert.deepEqual(rules.get('ours'), [to('drop')]);
});
