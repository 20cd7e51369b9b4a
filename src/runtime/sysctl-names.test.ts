import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../base/errors.ts';
import { sysctlNamespace, sysctlPath } from './sysctl-names.ts';

test('sysctlPath: dots or slashes between the parts, the other one inside', () => {
  assert.equal(sysctlPath('net.ipv4.ip_forward'), 'net/ipv4/ip_forward');
  assert.equal(sysctlPath('net/ipv4/conf/eth0.1/forwarding'), 'net/ipv4/conf/eth0.1/forwarding');
  assert.equal(sysctlPath('net.ipv4.conf.eth0/1.forwarding'), 'net/ipv4/conf/eth0.1/forwarding');
});

test('sysctlPath: never climbs out of /proc/sys', () => {
  for (const name of ['net/../kernel/core_pattern', 'net..core', '/net/x', 'net.', '', 'net.//.kernel', '..']) {
    assert.throws(() => sysctlPath(name), { message: `invalid sysctl name: "${name}"` });
  }
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('.', '/', 'a', 'net') }), (name) => {
      try {
        return sysctlPath(name)
          .split('/')
          .every((part) => part !== '' && part !== '.' && part !== '..');
      } catch (error) {
        return error instanceof EngineError;
      }
    }),
  );
});

test('sysctlNamespace: what a container may have of its own', () => {
  assert.equal(sysctlNamespace('net.core.somaxconn'), 'network');
  assert.equal(sysctlNamespace('kernel.shmmax'), 'ipc');
  assert.equal(sysctlNamespace('fs.mqueue.msg_max'), 'ipc');
  assert.equal(sysctlNamespace('kernel.domainname'), 'uts');
  assert.equal(sysctlNamespace('kernel.core_pattern'), null);
  assert.equal(sysctlNamespace('vm.overcommit_memory'), null);
});
