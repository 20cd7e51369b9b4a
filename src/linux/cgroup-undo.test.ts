import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formerValue } from './cgroup-undo.ts';

test('formerValue: what a file says is what it takes, with exceptions', () => {
  const cases: readonly (readonly [string, string, string, string | null])[] = [
    ['/c/memory.limit_in_bytes', '9223372036854771712\n', '1', '9223372036854771712'],
    ['/c/cpu.max', 'max 100000\n', '1 2', 'max 100000'],
    ['/c/cpuset.cpus', '\n', '0', '\n'],
    ['/c/memory.oom_control', 'oom_kill_disable 1\nunder_oom 0\noom_kill 3\n', '1', '1'],
    ['/c/io.weight', 'default 100\n8:0 50\n', '200', '100'],
    ['/c/io.weight', 'default 100\n8:0 50\n', '8:0 200', '8:0 50'],
    ['/c/io.weight', 'default 100\n', '8:0 200', '8:0 default'],
    ['/c/blkio.throttle.read_bps_device', '8:0 1000\n8:16 5\n', '8:16 7', '8:16 5'],
    ['/c/blkio.throttle.read_bps_device', '', '8:16 7', '8:16 0'],
    ['/c/io.max', '8:0 rbps=5 wbps=max riops=max wiops=9\n', '8:0 wiops=1', '8:0 wiops=9'],
    ['/c/io.max', '', '8:0 wiops=1', '8:0 wiops=max'],
  ];
  for (const [file, text, written, former] of cases) assert.equal(formerValue(file, text, written), former, `${file} ${written}`);
});
