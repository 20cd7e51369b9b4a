import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSecurityOptions } from './security-options.ts';

test('parseSecurityOptions: every form of no-new-privileges', () => {
  for (const on of ['no-new-privileges', 'no-new-privileges=true', 'no-new-privileges:true', 'no-new-privileges=1']) {
    assert.equal(parseSecurityOptions([on]).noNewPrivileges, true);
  }
  assert.equal(parseSecurityOptions(['no-new-privileges=false']).noNewPrivileges, false);
  assert.throws(() => parseSecurityOptions(['no-new-privileges=maybe']), {
    message: 'invalid --security-opt 2: "no-new-privileges=maybe"',
  });
});

test('parseSecurityOptions: seccomp by word or by the text of a profile', () => {
  assert.equal(parseSecurityOptions([]).seccomp, 'default');
  assert.equal(parseSecurityOptions(['seccomp=unconfined']).seccomp, 'unconfined');
  assert.equal(parseSecurityOptions(['seccomp:builtin']).seccomp, 'builtin');
  const { seccomp } = parseSecurityOptions(['seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}']);
  assert.ok(typeof seccomp === 'object' && seccomp.defaultAction === 'SCMP_ACT_ALLOW');
  assert.throws(() => parseSecurityOptions(['seccomp=/etc/profile.json']), /is not JSON/);
});

test('parseSecurityOptions: what is unknown or not ours to give is refused, what changes nothing is taken', () => {
  parseSecurityOptions(['apparmor=unconfined', 'label=disable']);
  assert.equal(parseSecurityOptions(['apparmor=docker-nginx']).appArmor, 'docker-nginx');
  assert.throws(() => parseSecurityOptions(['label=level:s0']), /label=level:s0 is not supported/);
  assert.throws(() => parseSecurityOptions(['sandbox=yes']), { message: 'invalid --security-opt 2: "sandbox=yes"' });
  assert.throws(() => parseSecurityOptions(['sandbox']), { message: 'invalid --security-opt 1: "sandbox"' });
});

test('parseSecurityOptions: systempaths=unconfined', () => {
  assert.equal(parseSecurityOptions(['systempaths=unconfined']).systemPathsUnconfined, true);
  assert.throws(() => parseSecurityOptions(['systempaths=some']), /invalid --security-opt 2/);
});
