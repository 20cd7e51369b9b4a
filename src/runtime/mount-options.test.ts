import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_SLAVE, MS_STRICTATIME } from '../linux/constants.ts';
import { mergeTmpfsOptions, parseMountOptions, propagationFlags } from './mount-options.ts';

const none = { flags: 0, propagation: 0, bind: 'no', recursiveReadOnly: false, copyUp: false, data: [] };

test('parseMountOptions: flags, propagation, kinds of bind and data apart', () => {
  assert.deepEqual(parseMountOptions([]), none);
  assert.deepEqual(parseMountOptions(['nosuid', 'strictatime', 'mode=755', 'size=65536k']), {
    ...none,
    flags: MS_NOSUID | MS_STRICTATIME,
    data: ['mode=755', 'size=65536k'],
  });
  assert.deepEqual(parseMountOptions(['rbind', 'ro', 'rslave']), {
    ...none,
    bind: 'rbind',
    flags: MS_RDONLY,
    propagation: MS_SLAVE | MS_REC,
  });
  assert.deepEqual(parseMountOptions(['bind', 'rro', 'private']), {
    ...none,
    bind: 'bind',
    flags: MS_RDONLY,
    recursiveReadOnly: true,
    propagation: MS_PRIVATE,
  });
});

test('parseMountOptions: the later of two opposites wins', () => {
  assert.equal(parseMountOptions(['noexec', 'ro', 'exec']).flags, MS_RDONLY);
  assert.equal(parseMountOptions(['exec', 'noexec']).flags, MS_NOEXEC);
});

test('parseMountOptions: newinstance is how every devpts is', () => {
  assert.deepEqual(parseMountOptions(['newinstance', 'defaults', 'gid=5']).data, ['gid=5']);
});

test('propagationFlags', () => {
  assert.equal(propagationFlags('rslave'), MS_SLAVE | MS_REC);
  assert.equal(propagationFlags('constructor'), null);
});

test('mergeTmpfsOptions: one option of a kind, the last', () => {
  assert.deepEqual(mergeTmpfsOptions(['noexec', 'rprivate', 'size=1m', 'exec', 'size=2m', 'slave', 'defaults']), {
    merged: ['exec', 'size=2m', 'slave'],
  });
});

test('mergeTmpfsOptions: what no tmpfs has is named', () => {
  assert.deepEqual(mergeTmpfsOptions(['size=1m', 'upperdir=/etc']), { unknown: 'upperdir=/etc' });
  assert.deepEqual(mergeTmpfsOptions(['bind']), { unknown: 'bind' });
});
