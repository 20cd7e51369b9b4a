import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MS_BIND, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SHARED } from '../linux/constants.ts';
import { mountCallsOf, parseLocalOptions, printableData, serverOf, withServerAddress } from './local-options.ts';

function calls(options: Record<string, string>) {
  const mount = parseLocalOptions(options);
  assert.ok(mount !== null);
  return mountCallsOf(mount, '/t');
}

test('parseLocalOptions: none is a plain directory', () => {
  assert.equal(parseLocalOptions({}), null);
});

test('mountCallsOf: a tmpfs, its flags apart from its data', () => {
  assert.deepEqual(calls({ type: 'tmpfs', device: 'tmpfs', o: 'size=100m,noexec,suid,nosuid,uid=1000,defaults' }), [
    { source: 'tmpfs', target: '/t', type: 'tmpfs', flags: MS_NOEXEC | MS_NOSUID, data: 'size=100m,uid=1000' },
  ]);
});

test('mountCallsOf: a bind mount gets its flags by a second call, propagation by a third', () => {
  assert.deepEqual(calls({ type: 'none', device: '/srv', o: 'bind' }), [
    { source: '/srv', target: '/t', type: '', flags: MS_BIND, data: '' },
  ]);
  assert.deepEqual(calls({ type: 'none', device: '/srv', o: 'rbind,ro,rshared' }), [
    { source: '/srv', target: '/t', type: '', flags: MS_BIND | MS_REC, data: '' },
    { source: '', target: '/t', type: '', flags: MS_REMOUNT | MS_BIND | MS_RDONLY, data: '' },
    { source: '', target: '/t', type: '', flags: MS_SHARED | MS_REC, data: '' },
  ]);
});

test('serverOf: names that the kernel can not look up itself', () => {
  const of = (options: Record<string, string>) => {
    const mount = parseLocalOptions(options);
    assert.ok(mount !== null);
    const server = serverOf(mount);
    return server === null ? null : { server, ...withServerAddress(mount, '192.0.2.1') };
  };
  assert.deepEqual(of({ type: 'nfs', device: ':/export', o: 'addr=nas.example,rw' }), {
    server: 'nas.example',
    type: 'nfs',
    device: ':/export',
    options: ['rw', 'addr=192.0.2.1'],
  });
  assert.equal(of({ type: 'nfs', device: ':/export', o: 'addr=192.0.2.9' }), null);
  assert.equal(of({ type: 'nfs4', device: ':/export' }), null);
  assert.equal(of({ type: 'nfs4', device: 'nas:/export', o: 'soft' })?.server, 'nas');
  assert.equal(of({ type: 'nfs4', device: '192.0.2.7:/export' })?.server, '192.0.2.7');
  assert.equal(of({ type: 'nfs4', device: '[2001:db8::1]:/export' })?.server, '2001:db8::1');
  assert.equal(of({ type: 'cifs', device: '//192.0.2.1/share' }), null);
  assert.equal(of({ type: 'cifs', device: '//nas/share', o: 'username=u' })?.device, '//192.0.2.1/share');
  assert.equal(of({ type: 'tmpfs', device: 'tmpfs', o: 'addr=nas' }), null);
});

test('printableData: no password', () => {
  assert.equal(printableData('username=u,password=secret,vers=3.0'), 'username=u,password=********,vers=3.0');
});
