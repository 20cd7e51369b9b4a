import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capabilitiesOf, capabilityMask, capabilityNames, rlimitNumbers } from './constants.ts';

test('capabilityMask and capabilitiesOf: numbers of linux/capability.h', () => {
  assert.equal(capabilityMask(['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE']), (1n << 40n) | 1n);
  assert.equal(capabilityMask(['CAP_NONE']), null);
  assert.equal(capabilityNames[21], 'CAP_SYS_ADMIN');
  // CapBnd of a container of Docker.
  assert.equal(capabilityMask(capabilitiesOf(0xa80425fbn)), 0xa80425fbn);
  assert.equal(capabilitiesOf(0xa80425fbn).length, 14);
});

test('rlimitNumbers: has nothing but limits', () => {
  assert.equal(rlimitNumbers.nofile, 7);
  assert.equal(rlimitNumbers.constructor, undefined);
});
