import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { conflict } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import { deadlineOf, dueObjects, type LeasedObject } from './lease-deadlines.ts';
import { checkLeaseLabels, type Labels } from './lease-labels.ts';
import { Leases } from './leases.ts';

const start = Date.parse('2030-01-01T00:00:00Z');

function object(reference: string, labels: Labels, kind: LeasedObject['kind'] = 'container', createdAt = start): LeasedObject {
  return { kind, reference, labels, createdAt: new Date(createdAt) };
}

describe('checkLeaseLabels', () => {
  for (const ttl of ['10m', '1h30m', '1.5s', '500ms']) it(`takes ${ttl}`, () => checkLeaseLabels({ 'gantry.ttl': ttl }));
  for (const ttl of ['', '0', '0s', '-5m', '10', 'soon', '10 m'])
    it(`refuses "${ttl}"`, () => assert.throws(() => checkLeaseLabels({ 'gantry.ttl': ttl }), /must be a duration above zero/));
  for (const name of ['', '-a', 'a b', 'a/b', 'x'.repeat(129)])
    it(`refuses the lease "${name.slice(0, 9)}"`, () => assert.throws(() => checkLeaseLabels({ 'gantry.lease': name }), /is named by/));
});

describe('dueObjects', () => {
  const held = () => null;
  it('counts a time to live from the creation', () => {
    assert.equal(deadlineOf(object('a', { 'gantry.ttl': '10m' }), held), start + 600_000);
    assert.equal(deadlineOf(object('a', {}), held), Number.POSITIVE_INFINITY);
  });
  it('takes whichever is over first', () => {
    const both = object('a', { 'gantry.ttl': '10m', 'gantry.lease': 'l' });
    assert.equal(
      deadlineOf(both, () => start + 5),
      start + 5,
    );
    assert.equal(deadlineOf(both, held), start + 600_000);
  });
  it('containers go before what they use, and the next moment is told', () => {
    const objects = [
      object('v', { 'gantry.ttl': '1s' }, 'volume'),
      object('n', { 'gantry.ttl': '1s' }, 'network'),
      object('c', { 'gantry.ttl': '1s' }),
      object('later', { 'gantry.ttl': '1m' }),
    ];
    const { due, next } = dueObjects(objects, held, start + 2000);
    assert.deepEqual([due.map(({ reference }) => reference), next], [['c', 'n', 'v'], start + 60_000]);
  });
});

/** Objects of memory. */
function world(objects: LeasedObject[]) {
  const removed: string[] = [];
  const refused = new Set<string>();
  let created = () => {};
  return {
    removed,
    refused,
    add(made: LeasedObject) {
      objects.push(made);
      created();
    },
    list: async () => [...objects],
    async remove({ reference }: LeasedObject) {
      if (refused.delete(reference)) throw conflict('it is in use');
      objects.splice(
        objects.findIndex((each) => each.reference === reference),
        1,
      );
      removed.push(reference);
    },
    onCreated(listener: () => void) {
      created = listener;
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 1000 && !condition(); attempt++) await delay(5);
  assert.ok(condition());
}

const times = { unheldGraceMs: 30, retryMs: 20 };

describe('Leases', () => {
  it('removes what is over when the daemon starts, and later what becomes so', async () => {
    const made = world([object('old', { 'gantry.ttl': '1s' }, 'container', Date.now() - 5000)]);
    const leases = new Leases(made, silentLogger, times);
    await until(() => made.removed.includes('old'));
    made.add(object('new', { 'gantry.ttl': '50ms' }, 'container', Date.now()));
    await until(() => made.removed.includes('new'));
    await leases.close();
  });

  it('keeps what is held by anybody, and removes it a grace after the last let go', async () => {
    const made = world([object('a', { 'gantry.lease': 'l' })]);
    const leases = new Leases(made, silentLogger, times);
    const [one, two] = [leases.hold('l', 10), leases.hold('l', 10)];
    one();
    one();
    await delay(80);
    assert.deepEqual(made.removed, []);
    two();
    const again = leases.hold('l', 10);
    await delay(80);
    assert.deepEqual(made.removed, []);
    again();
    await until(() => made.removed.includes('a'));
    await leases.close();
  });

  it('gives holders of before a restart time to come back', async () => {
    const made = world([object('kept', { 'gantry.lease': 'k' }), object('lost', { 'gantry.lease': 'gone' })]);
    const leases = new Leases(made, silentLogger, { ...times, unheldGraceMs: 200 });
    const release = leases.hold('k', 10);
    await until(() => made.removed.includes('lost'));
    assert.deepEqual(made.removed, ['lost']);
    release();
    await until(() => made.removed.includes('kept'));
    await leases.close();
  });

  it('tries again what could not be removed', async () => {
    const made = world([object('n', { 'gantry.ttl': '1ms' }, 'network', Date.now() - 10)]);
    made.refused.add('n');
    const leases = new Leases(made, silentLogger, times);
    await until(() => made.removed.includes('n'));
    await leases.close();
  });
});
