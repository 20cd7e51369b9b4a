import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import type { Plan, Step } from './plan.ts';
import { detail, phase, setup } from './protocol.ts';
import { type StartFailure, startError } from './start-failure.ts';

const { ENOENT, EACCES, EISDIR, ENOEXEC, EINVAL, ETIMEDOUT } = constants.errno;
const bind: Step = {
  op: 'bind',
  source: '/proc',
  subpath: 'none',
  target: '/m',
  recursive: true,
  flags: 0,
  recursiveReadOnly: false,
  propagation: 0,
  create: true,
  taken: 0,
  uidMap: [0, 1, 1],
  gidMap: [0, 1, 1],
};
const hook: Step = {
  op: 'hook',
  path: '/h',
  directory: '/b',
  before: '',
  after: '',
  argv: ['/h'],
  env: [],
  confined: false,
  timeoutMs: 5000,
};
const execStep = 3;
const plan: Plan = {
  cloneFlags: 0,
  cgroup2: null,
  before: [],
  joins: [{ kind: 'path', path: '/proc/7/ns/net', nstype: 0x40000000 }],
  steps: [
    { step: { op: 'mask', target: '/proc/kcore' }, reason: 'hidden', failure: 'mask /proc/kcore' },
    {
      step: { op: 'mount-layers', target: '/i', lowerBase: '/l', lowers: ['a', 'b'], options: '', subpath: 'x', writable: [] },
      reason: 'files of an image',
      failure: 'mount image layers on /i',
    },
    { step: bind, reason: 'files of the host', failure: 'bind /proc to /m' },
    { step: { op: 'exec', argv: ['prog', 'x'], env: [], path: '/bin' }, reason: 'run it', failure: 'execute prog' },
    { step: hook, reason: 'asked for', failure: 'run the createContainer hook /h' },
  ],
};

function errorOf(failure: Partial<StartFailure>): { message: string; exitCode: number } {
  return startError({ phase: phase.step, index: execStep, errno: ENOENT, detail: detail.none, ...failure }, plan, 'container');
}

describe('startError', () => {
  const cases: readonly (readonly [string, Partial<StartFailure>, number, RegExp])[] = [
    ['not in PATH', { detail: detail.notInPath }, 127, /exec: "prog": executable file not found in \$PATH: unknown$/],
    ['missing path', { detail: detail.lookup }, 127, /exec: "prog": stat prog: no such file or directory: unknown$/],
    ['missing interpreter', { detail: detail.execve }, 127, /exec prog: no such file or directory/],
    ['not executable', { detail: detail.lookup, errno: EACCES }, 126, /permission denied/],
    ['a directory', { detail: detail.lookup, errno: EISDIR }, 126, /is a directory/],
    ['not a program', { detail: detail.execve, errno: ENOEXEC }, 128, /exec format error/],
    [
      'a hook',
      { index: 4, errno: 3 << 8, detail: detail.hook, said: 'a\nb\n' },
      128,
      /cannot run the createContainer hook \/h: it ended with status 3: a; b: unknown$/,
    ],
    ['a killed hook', { index: 4, errno: 9, detail: detail.hook, said: '' }, 128, /hook \/h: it was ended by signal 9: unknown$/],
    ['a slow hook', { index: 4, errno: ETIMEDOUT, said: 'x' }, 128, /hook \/h: it did not end within 5 s and was killed: x: unknown$/],
    ['another step', { index: 0, errno: EINVAL }, 128, /cannot mask \/proc\/kcore: EINVAL/],
    ['a subpath', { index: 2, detail: detail.subpath }, 128, /cannot find the subpath "none" in \/proc: no such file or directory/],
    ['a subpath of an image', { index: 1, detail: detail.subpath }, 128, /cannot find the subpath "x" in the image: no such file/],
    ['owners', { index: 2, errno: EINVAL, detail: detail.idmap }, 128, /owners of \/proc: its file system \(proc\) has no idmapped mounts/],
    ['a join', { phase: phase.join, index: 0 }, 128, /cannot enter the namespace \/proc\/7\/ns\/net: ENOENT/],
    ['the log file', { phase: phase.monitor, index: setup.log, errno: EACCES }, 128, /cannot open the container's log file: EACCES/],
    ['killed in set-up', { phase: phase.died, index: 0, errno: 9 }, 128, /killed while it was set up/],
  ];
  for (const [name, failure, exitCode, message] of cases) {
    it(name, () => {
      const error = errorOf(failure);
      assert.equal(error.exitCode, exitCode);
      assert.match(error.message, message);
    });
  }
});
