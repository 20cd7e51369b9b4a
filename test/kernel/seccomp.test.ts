/** Loads compiled filters into this kernel and makes the calls. Needs root (a filter without no_new_privs) and a C compiler. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Seccomp } from '../../src/oci/runtime-spec.ts';
import { compileSeccomp, seccompFlags } from '../../src/runtime/seccomp/compile-seccomp.ts';
import { defaultProfile } from '../../src/runtime/seccomp/default-profile.ts';
import { parseKernelVersion, resolveProfile } from '../../src/runtime/seccomp/resolve-profile.ts';

const compiler = ['/usr/bin/cc', '/usr/bin/gcc'].find((path) => existsSync(path));
const skip =
  process.arch !== 'x64'
    ? 'needs x86_64'
    : process.getuid?.() !== 0
      ? 'needs root'
      : compiler === undefined
        ? 'needs a C compiler (gcc)'
        : false;

/** Reads FILTER, loads it with FLAGS, makes each call "number:arg0:arg1:arg2" of argv and prints its errno, one a line. */
const source = `
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static struct sock_filter code[4096];
int main(int argc, char **argv) {
  int file = open(argv[1], O_RDONLY);
  long size = read(file, code, sizeof code);
  close(file);
  struct sock_fprog program = {size / 8, code};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, atoi(argv[2]), &program)) return perror("seccomp"), 99;
  for (int i = 3; i < argc; i++) {
    unsigned long v[4] = {0};
    char *at = argv[i];
    for (int j = 0; j < 4 && *at; j++) { v[j] = strtoul(at, &at, 0); if (*at == ':') at++; }
    long result = syscall(v[0], v[1], v[2], v[3]);
    printf("%d\\n", result == -1 ? errno : 0);
    fflush(stdout);
  }
  return 0;
}`;

let directory = '';

before(() => {
  if (skip !== false || compiler === undefined) return;
  directory = mkdtempSync(join(tmpdir(), 'gantry-seccomp-'));
  writeFileSync(join(directory, 'caller.c'), source);
  execFileSync(compiler, ['-o', join(directory, 'caller'), join(directory, 'caller.c')]);
});

after(() => {
  if (directory !== '') rmSync(directory, { recursive: true });
});

interface Outcome {
  readonly errnos: readonly number[];
  readonly signal: string | null;
}

function callUnder(seccomp: Seccomp, ...calls: readonly string[]): Outcome {
  const file = join(directory, 'filter');
  writeFileSync(file, compileSeccomp(seccomp, 'amd64'));
  const { status, signal, stdout, stderr } = spawnSync(join(directory, 'caller'), [file, String(seccompFlags(seccomp)), ...calls], {
    encoding: 'utf8',
  });
  assert.ok(status !== 99, `the kernel takes the filter: ${stderr}`);
  return { errnos: stdout.split('\n').filter(Boolean).map(Number), signal };
}

function defaultFor(...capabilities: readonly string[]): Seccomp {
  const kernel = parseKernelVersion(release()) ?? { major: 4, minor: 0 };
  return resolveProfile(defaultProfile, { capabilities: new Set(capabilities), architecture: 'amd64', kernel });
}

const EPERM = 1;
const EINVAL = 22;
const ENOSYS = 38;
const [keyctl, unshare, clone3, socket, personality, clone, ioUring, getpid] = [250, 272, 435, 41, 135, 56, 425, 39];

test('default profile in the kernel: refused calls have the errno of Docker', { skip }, () => {
  const cases: readonly [string, number][] = [
    [`${getpid}`, 0],
    [`${keyctl}:0`, EPERM],
    [`${unshare}:0x20000`, EPERM],
    [`${clone3}:0:0`, ENOSYS],
    [`${socket}:38:5:0`, EPERM],
    [`${socket}:40:1:0`, EPERM],
    // The kernel drops the high half of the register: this is AF_ALG too.
    [`${socket}:0x100000026:5:0`, EPERM],
    [`${socket}:1:1:0`, 0],
    [`${socket}:39:1:0`, 97],
    [`${personality}:0xffffffff`, 0],
    [`${personality}:0x40000`, EPERM],
    [`${clone}:0x20000011`, EPERM],
    [`${ioUring}:1:0`, EPERM],
    ['480', ENOSYS],
    ['-1', ENOSYS],
  ];
  const { errnos, signal } = callUnder(defaultFor(), ...cases.map(([call]) => call));
  assert.deepEqual(
    cases.map(([call], index) => [call, errnos[index]]),
    cases.map((each) => [...each]),
  );
  assert.equal(signal, null);
});

test('default profile in the kernel: CAP_SYS_ADMIN opens clone3 and unshare', { skip }, () => {
  assert.deepEqual(callUnder(defaultFor('CAP_SYS_ADMIN'), `${clone3}:0:0`, `${unshare}:0`).errnos, [EINVAL, 0]);
});

test('compileSeccomp in the kernel: kill ends the process with SIGSYS, and so does x32 when it is not listed', { skip }, () => {
  const killing: Seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['keyctl'], action: 'SCMP_ACT_KILL_PROCESS' }] };
  assert.deepEqual(callUnder(killing, `${getpid}`, `${keyctl}:0`, `${getpid}`), { errnos: [0], signal: 'SIGSYS' });
  assert.deepEqual(callUnder(killing, '0x40000027', `${getpid}`), { errnos: [], signal: 'SIGSYS' });
});

test('compileSeccomp in the kernel: a filter at the limit of 4096 instructions loads', { skip }, () => {
  const rules = Array.from({ length: 2000 }, (_, value) => ({
    names: ['keyctl'],
    action: 'SCMP_ACT_ERRNO' as const,
    errnoRet: 2,
    args: [{ index: 0, value: value + 1, op: 'SCMP_CMP_EQ' as const }],
  }));
  const seccomp: Seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: rules };
  const instructions = compileSeccomp(seccomp, 'amd64').length / 8;
  assert.ok(instructions > 4000 && instructions <= 4096, `${instructions} instructions`);
  assert.deepEqual(callUnder(seccomp, `${keyctl}:1`, `${keyctl}:2000`).errnos, [2, 2]);
});
