import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultHostConfig } from './config-defaults.ts';
import { hardenedHostConfig, isHardened } from './hardened.ts';

const harden = (changes: Parameters<typeof defaultHostConfig>[0] = {}, byDefault = false) =>
  hardenedHostConfig(defaultHostConfig(changes), byDefault);

test('hardened: fills in what the request leaves open', () => {
  for (const asked of ['hardened', 'hardened=true', 'hardened:1']) {
    const { CapDrop, SecurityOpt, PidsLimit, UsernsMode } = harden({ SecurityOpt: [asked] });
    assert.deepEqual(CapDrop, ['CAP_AUDIT_WRITE', 'CAP_MKNOD', 'CAP_NET_RAW']);
    assert.deepEqual(SecurityOpt, ['no-new-privileges', 'hardened=true']);
    assert.deepEqual([PidsLimit, UsernsMode, isHardened(SecurityOpt)], [2048, 'auto', true]);
  }
  assert.equal(harden({}, true).UsernsMode, 'auto');
});

test('hardened: what the request says still holds', () => {
  const asked = harden({
    SecurityOpt: ['hardened=true', 'no-new-privileges=false', 'seccomp=unconfined'],
    CapAdd: ['net_raw'],
    CapDrop: ['CAP_MKNOD'],
    PidsLimit: -1,
    UsernsMode: 'host',
  });
  assert.deepEqual(asked.CapDrop, ['CAP_MKNOD', 'CAP_AUDIT_WRITE']);
  assert.deepEqual(asked.SecurityOpt, ['no-new-privileges=false', 'seccomp=unconfined', 'hardened=true']);
  assert.deepEqual([asked.PidsLimit, asked.UsernsMode], [-1, 'host']);
  assert.deepEqual(harden({ CapAdd: ['ALL'] }, true).CapDrop, null);
  assert.deepEqual(harden({ CapDrop: ['ALL'] }, true).CapDrop, ['ALL']);
});

test('hardened: off when it is said, and nothing is changed then', () => {
  assert.deepEqual(harden({ SecurityOpt: ['hardened=false'] }, true), defaultHostConfig({ SecurityOpt: [] }));
  assert.deepEqual(harden(), defaultHostConfig());
  assert.throws(() => harden({ SecurityOpt: ['hardened=maybe'] }), /invalid --security-opt 2/);
  assert.throws(() => harden({ Privileged: true, SecurityOpt: ['hardened'] }), /exclude each other/);
  assert.throws(() => harden({ Privileged: true }, true), /--security-opt hardened=false/);
});
