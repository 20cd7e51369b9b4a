import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capabilityNames } from '../linux/constants.ts';
import { capabilitySet, defaultCapabilities } from './capability-set.ts';

const everything: ReadonlySet<string> = new Set(capabilityNames);
const withoutResource: ReadonlySet<string> = new Set(capabilityNames.filter((name) => name !== 'CAP_SYS_RESOURCE'));
const asked = (CapAdd: string[] | null, CapDrop: string[] | null = null, Privileged = false) => ({ CapAdd, CapDrop, Privileged });

test('capabilitySet: 14 by default', () => {
  const { capabilities } = capabilitySet(asked(null), everything);
  assert.equal(capabilities.length, 14);
  assert.deepEqual(capabilities, defaultCapabilities);
});

test('capabilitySet: names in any case, with or without prefix', () => {
  const { capabilities } = capabilitySet(asked(['net_admin', 'CAP_SYS_PTRACE'], ['Mknod']), everything);
  assert.ok(capabilities.includes('CAP_NET_ADMIN') && capabilities.includes('CAP_SYS_PTRACE') && !capabilities.includes('CAP_MKNOD'));
});

test('capabilitySet: ALL added, less what is dropped; ALL dropped, plus what is added', () => {
  assert.equal(capabilitySet(asked(['ALL'], ['MKNOD']), everything).capabilities.length, capabilityNames.length - 1);
  assert.deepEqual(capabilitySet(asked(['CHOWN'], ['all']), everything).capabilities, ['CAP_CHOWN']);
});

test('capabilitySet: privileged has all, whatever is dropped', () => {
  assert.deepEqual(capabilitySet(asked(null, ['ALL'], true), everything).capabilities, capabilityNames);
});

test('capabilitySet: what the host withholds is left out of "all" and told', () => {
  for (const request of [asked(['ALL']), asked(null, null, true)]) {
    const { capabilities, withheld } = capabilitySet(request, withoutResource);
    assert.equal(capabilities.includes('CAP_SYS_RESOURCE'), false);
    assert.deepEqual(withheld, ['CAP_SYS_RESOURCE']);
  }
});

test('capabilitySet: what the host withholds is refused by name when asked for by name', () => {
  assert.throws(() => capabilitySet(asked(['SYS_RESOURCE']), withoutResource), /CAP_SYS_RESOURCE cannot be given/);
});

test('capabilitySet: unknown names are refused', () => {
  assert.throws(() => capabilitySet(asked(['NET_ADMN']), everything), { message: 'invalid CapAdd: unknown capability: "CAP_NET_ADMN"' });
  assert.throws(() => capabilitySet(asked(null, ['__proto__']), everything), /^EngineError: invalid CapDrop: unknown capability/);
});
