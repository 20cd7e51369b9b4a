import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appArmorProfileOf, checkAppArmor } from './apparmor-option.ts';

const ours = { appArmor: { defaultProfile: 'gantry-default' } };
const profile = (options: string[], host: Parameters<typeof appArmorProfileOf>[1] = ours, Privileged = false) =>
  appArmorProfileOf({ SecurityOpt: options, Privileged }, host);

test('appArmorProfileOf: ours, another, none', () => {
  assert.equal(profile([]), 'gantry-default');
  assert.equal(profile(['apparmor=mine']), 'mine');
  assert.equal(profile(['apparmor:mine']), 'mine');
  assert.equal(profile(['apparmor=docker-default']), 'gantry-default');
  assert.equal(profile(['apparmor=unconfined']), null);
  assert.equal(profile([], ours, true), null);
  assert.equal(profile(['apparmor=mine'], ours, true), 'mine');
  assert.equal(profile([], { appArmor: { defaultProfile: null } }), null);
  assert.equal(profile([], {}), null);
});

test('checkAppArmor: what the kernel cannot keep is refused', () => {
  const check = (options: string[], host: Parameters<typeof checkAppArmor>[1]) =>
    checkAppArmor({ SecurityOpt: options, Privileged: false }, host);
  assert.throws(() => check(['apparmor=mine'], {}), /this kernel has no AppArmor/);
  assert.throws(() => check(['apparmor=mine unconfined'], ours), /no blanks/);
  check(['apparmor=unconfined'], {});
  check(['apparmor=mine'], ours);
});
