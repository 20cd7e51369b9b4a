import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultPath } from '../oci/image-config.ts';
import { environmentOf, mergeEnvironment } from './environment.ts';

const input = { env: [], hostname: 'box', tty: false, home: '/root' };

test('environmentOf: defaults of Docker, HOME last', () => {
  assert.deepEqual(environmentOf(input), [`PATH=${defaultPath}`, 'HOSTNAME=box', 'HOME=/root']);
  assert.deepEqual(environmentOf({ ...input, tty: true }), [`PATH=${defaultPath}`, 'HOSTNAME=box', 'TERM=xterm', 'HOME=/root']);
});

test('environmentOf: what is set wins in place, a bare name removes', () => {
  const env = ['HOSTNAME=other', 'PATH', 'EMPTY=', 'A=b=c', 'HOME=/home/me'];
  assert.deepEqual(environmentOf({ ...input, tty: true, env }), ['HOSTNAME=other', 'TERM=xterm', 'EMPTY=', 'A=b=c', 'HOME=/home/me']);
});

test('mergeEnvironment: image first and in order, user in place, removals kept for the start', () => {
  assert.deepEqual(mergeEnvironment(['A=1', 'B=2', 'C=3'], ['D=4', 'B=x', 'C']), ['A=1', 'B=x', 'C', 'D=4']);
  assert.deepEqual(environmentOf({ ...input, env: mergeEnvironment(['A=1'], ['A']) }).includes('A=1'), false);
});

test('mergeEnvironment: __proto__ is a name like any other', () => {
  assert.deepEqual(mergeEnvironment(['__proto__=1'], ['constructor=2', '__proto__=3']), ['__proto__=3', 'constructor=2']);
});
