import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';

describe('parseDetachKeys', () => {
  it('knows control keys, single characters and DEL', () => {
    assert.deepEqual([...parseDetachKeys('ctrl-p,ctrl-q')], [16, 17]);
    assert.deepEqual([...parseDetachKeys('a,ctrl-[,ctrl-@,DEL')], [97, 27, 0, 127]);
  });
  it('names what it does not know', () =>
    assert.throws(() => parseDetachKeys('ctrl-p,foo'), /invalid detach keys \(ctrl-p,foo\): unknown character 'foo'/));
});

describe('DetachScanner', () => {
  function type(keys: string, pieces: readonly Buffer[]): { passed: Buffer; detached: boolean } {
    const scanner = new DetachScanner(parseDetachKeys(keys));
    const passed: Buffer[] = [];
    for (const piece of pieces) {
      const { pass, detached } = scanner.scan(piece);
      passed.push(pass);
      if (detached) return { passed: Buffer.concat(passed), detached };
    }
    return { passed: Buffer.concat(passed), detached: false };
  }

  it('takes the sequence out, also when it comes in pieces', () => {
    assert.deepEqual(type('ctrl-p,ctrl-q', [Buffer.from('ab\x10\x11cd')]), { passed: Buffer.from('ab'), detached: true });
    assert.deepEqual(type('ctrl-p,ctrl-q', [Buffer.from('ab\x10'), Buffer.from('\x11')]), { passed: Buffer.from('ab'), detached: true });
  });

  it('gives a started sequence back when it goes on differently', () => {
    assert.deepEqual(type('ctrl-p,ctrl-q', [Buffer.from('\x10'), Buffer.from('x\x10\x10\x11')]), {
      passed: Buffer.from('\x10x\x10'),
      detached: true,
    });
  });

  it('changes nothing that does not hold the sequence', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (pieces) => {
        const all = Buffer.concat(pieces);
        if (all.includes(Buffer.from([16, 17])) || all.at(-1) === 16) return;
        assert.deepEqual(
          type(
            'ctrl-p,ctrl-q',
            pieces.map((piece) => Buffer.from(piece)),
          ),
          { passed: all, detached: false },
        );
      }),
    );
  });
});
