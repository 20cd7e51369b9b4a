import assert from 'node:assert/strict';
import test from 'node:test';
import { parseSignal } from './signals.ts';

test('parseSignal: every spelling that clients send', () => {
  for (const text of ['9', 'KILL', 'SIGKILL', 'sigkill', 'Kill']) assert.equal(parseSignal(text), 9, text);
  assert.equal(parseSignal('TERM'), 15);
  assert.equal(parseSignal('SIGWINCH'), 28);
  assert.equal(parseSignal('RTMIN'), 34);
  assert.equal(parseSignal('SIGRTMIN+3'), 37);
  assert.equal(parseSignal('RTMAX-1'), 63);
  assert.equal(parseSignal('64'), 64);
});

test('parseSignal: refuses what is no signal with Docker’s text', () => {
  for (const text of ['', '0', '-9', 'SIGFOO', '1.5', 'RTMIN+31', 'RTMAX+1', 'RTMIN-1', 'SIGSIGKILL']) {
    assert.throws(() => parseSignal(text), { code: 'invalid', message: `Invalid signal: ${text}` }, text);
  }
  assert.throws(() => parseSignal('65'), { code: 'invalid', message: 'The linux daemon does not support signal 65' });
});
