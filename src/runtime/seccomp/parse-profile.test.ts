import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../../base/errors.ts';
import { compileSeccomp } from './compile-seccomp.ts';
import { defaultProfile } from './default-profile.ts';
import { parseProfile, parseProfileText } from './parse-profile.ts';
import { resolveProfile } from './resolve-profile.ts';

const context = { capabilities: new Set<string>(), architecture: 'amd64', kernel: { major: 6, minor: 1 } } as const;

test('parseProfile: the default profile survives a trip through JSON', () => {
  const { warnings, ...profile } = parseProfileText(JSON.stringify(defaultProfile));
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    resolveProfile(profile, context).syscalls?.map(({ names }) => names),
    resolveProfile(defaultProfile, context).syscalls?.map(({ names }) => names),
  );
  assert.deepEqual(
    compileSeccomp(resolveProfile(profile, context), 'amd64'),
    compileSeccomp(resolveProfile(defaultProfile, context), 'amd64'),
  );
});

test('parseProfile: errors name the place', () => {
  const wrong: readonly [unknown, RegExp][] = [
    [null, /it is null, not an object/],
    [[], /it is \[\], not an object/],
    [{}, /defaultAction is missing, not one of SCMP_ACT_KILL/],
    [{ defaultAction: 'ALLOW' }, /defaultAction is "ALLOW"/],
    [{ defaultAction: 'SCMP_ACT_NOTIFY' }, /SCMP_ACT_NOTIFY, which is not supported/],
    [{ defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/x' }, /listenerPath is not supported/],
    [{ defaultAction: 'SCMP_ACT_ALLOW', Syscalls: [] }, /Syscalls must be written "syscalls"/],
    [{ defaultAction: 'SCMP_ACT_ALLOW', syscalls: {} }, /syscalls is \{\}, not a list/],
    [{ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['X86'] }, /architectures\[0\] is "X86"/],
    [
      { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X86'], archMap: [{ architecture: 'SCMP_ARCH_X86' }] },
      /architectures cannot be used together with "archMap"/,
    ],
    [withRule({ names: ['a', 3] }), /syscalls\[0\]\.names\[1\] is 3, not a string/],
    [withRule({ names: ['a'], name: 'b' }), /syscalls\[0\]\.name cannot be used together with "names"/],
    [withRule({ names: [''] }), /syscalls\[0\]\.names\[0\] is empty/],
    [withRule({ args: [{ index: 6, op: 'SCMP_CMP_EQ' }] }), /syscalls\[0\]\.args\[0\]\.index is 6/],
    [withRule({ args: [{ index: 0, op: 'EQ' }] }), /syscalls\[0\]\.args\[0\]\.op is "EQ"/],
    [withRule({ args: [{ index: 0, op: 'SCMP_CMP_EQ', value: -1 }] }), /args\[0\]\.value is -1/],
    [withRule({ args: [{ index: 0, op: 'SCMP_CMP_EQ', value: 2 ** 60 }] }), /args\[0\]\.value is 1152921504606847000/],
    [withRule({ errnoRet: 70000 }), /syscalls\[0\]\.errnoRet is 70000/],
    [withRule({ includes: { minKernel: '4' } }), /syscalls\[0\]\.includes\.minKernel is "4"/],
  ];
  for (const [json, message] of wrong) assert.throws(() => parseProfile(json), message, JSON.stringify(json));
  assert.throws(() => parseProfileText('{"defaultAction": '), /is not JSON/);
});

test('parseProfile: warns of unknown calls and fields, keeps the rest', () => {
  const profile = parseProfile({
    defaultAction: 'SCMP_ACT_ERRNO',
    note: 'x',
    syscalls: [{ names: ['read', 'frobnicate', 's390_sthyi'], action: 'SCMP_ACT_ALLOW', comment: '', errnoRet: 3 }],
  });
  assert.deepEqual(profile.warnings, [
    'seccomp profile: unknown field note is ignored',
    'seccomp profile: syscalls[0].errnoRet has no effect, since SCMP_ACT_ALLOW returns no errno',
    'seccomp profile: unknown system calls are ignored: "frobnicate"',
  ]);
  assert.doesNotThrow(() => compileSeccomp(resolveProfile(profile, context), 'amd64'));
});

test('parseProfile: the old form with one name, nulls, and a prototype key', () => {
  const profile = parseProfileText(
    '{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":null,"archMap":null,"__proto__":{},"syscalls":[{"name":"read","action":"SCMP_ACT_ERRNO","args":null}]}',
  );
  assert.deepEqual(profile.syscalls, [{ names: ['read'], action: 'SCMP_ACT_ERRNO' }]);
  assert.equal(profile.warnings.length, 1);
});

test('parseProfileText: 64-bit values keep every digit', () => {
  const profile = parseProfileText(
    '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"op":"SCMP_CMP_EQ","value":18446744073709551615}]}]}',
  );
  assert.equal(profile.syscalls[0]?.args?.[0]?.value, 18446744073709551615n);
});

test('parseProfile: any JSON gives a profile or an EngineError', () => {
  const keys = fc.constantFrom(
    'defaultAction',
    'syscalls',
    'names',
    'args',
    'action',
    'index',
    'op',
    'value',
    'archMap',
    'includes',
    'caps',
    '__proto__',
  );
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom('SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO', 'SCMP_CMP_EQ', 'read', 0, 1, -1, 1.5, null, true),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(keys, tie('value')),
    ),
  })).value;
  fc.assert(
    fc.property(json, (value) => {
      try {
        parseProfile(value);
      } catch (error) {
        assert.ok(error instanceof EngineError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

function withRule(rule: Readonly<Record<string, unknown>>): unknown {
  return { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW', ...rule }] };
}
