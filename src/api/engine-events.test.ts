import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type EngineEvent, EngineEvents, matchesEvent } from './engine-events.ts';

describe('EngineEvents', () => {
  it('never goes back in time, and tells listeners in order', () => {
    const events = new EngineEvents();
    const heard: EngineEvent[] = [];
    const unsubscribe = events.subscribe((event) => heard.push(event));
    events.publish({ type: 'container', action: 'a', id: '1', attributes: {}, timeNano: 10n });
    events.publish({ type: 'container', action: 'b', id: '1', attributes: {}, timeNano: 10n });
    events.publish({ type: 'container', action: 'c', id: '1', attributes: {}, timeNano: 5n });
    unsubscribe();
    events.publish({ type: 'container', action: 'd', id: '1', attributes: {} });
    assert.deepEqual(
      heard.map(({ action, timeNano }) => [action, timeNano]),
      [
        ['a', 10n],
        ['b', 11n],
        ['c', 12n],
      ],
    );
    assert.deepEqual(
      events.replay(11n, 12n).map(({ action }) => action),
      ['b', 'c'],
    );
  });

  it('keeps the last 1024', () => {
    const events = new EngineEvents();
    for (let count = 0; count < 2000; count++) events.publish({ type: 'image', action: `${count}`, id: '', attributes: {} });
    assert.equal(events.replay(0n, null).length, 1024);
    assert.equal(events.replay(0n, null).at(-1)?.action, '1999');
  });
});

describe('matchesEvent', () => {
  const event: EngineEvent = {
    type: 'container',
    action: 'exec_create: ls -l',
    id: 'abcdef',
    attributes: { name: 'web', image: 'busybox:latest', tier: 'front' },
    timeNano: 1n,
  };
  const cases: readonly (readonly [Record<string, string[]>, boolean])[] = [
    [{}, true],
    [{ type: ['container'] }, true],
    [{ type: ['image', 'network'] }, false],
    [{ event: ['exec_create'] }, true],
    [{ event: ['exec'] }, false],
    [{ container: ['abc'] }, true],
    [{ container: ['/web'] }, true],
    [{ container: ['we'] }, true],
    [{ container: ['eb'] }, false],
    [{ event: ['exec_create: ls -l'] }, true],
    [{ scope: ['local'] }, true],
    [{ scope: ['swarm'] }, false],
    [{ daemon: ['web'] }, false],
    [{ plugin: ['web'] }, false],
    [{ image: ['busybox'] }, true],
    [{ image: ['busybox:latest'] }, true],
    [{ image: ['busy'] }, false],
    [{ label: ['tier=front'] }, true],
    [{ label: ['tier', 'name=web'] }, true],
    [{ label: ['tier', 'other'] }, false],
    [{ label: ['__proto__'] }, false],
    [{ type: ['container'], container: ['nope'] }, false],
    [{ network: ['web'] }, false],
  ];
  for (const [filters, expected] of cases) {
    it(`${JSON.stringify(filters)} is ${expected}`, () => assert.equal(matchesEvent(event, filters), expected));
  }
});
