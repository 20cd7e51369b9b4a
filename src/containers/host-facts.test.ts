import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLimits, readHostFacts } from './host-facts.ts';

test('readHostFacts: this host', () => {
  const facts = readHostFacts();
  assert.ok(facts.cpus >= 1 && facts.kernel.major >= 4);
  assert.match(facts.onlineCpus, /^\d/);
  assert.ok('nofile' in facts.hardLimits);
});

test('parseLimits: hard limits by ulimit name', () => {
  const text = [
    'Limit                     Soft Limit           Hard Limit           Units     ',
    'Max cpu time              unlimited            unlimited            seconds   ',
    'Max open files            1024                 20000                files     ',
    'Max something new         1                    2                    things    ',
  ].join('\n');
  assert.deepEqual(parseLimits(text), { cpu: Number.POSITIVE_INFINITY, nofile: 20_000 });
});
