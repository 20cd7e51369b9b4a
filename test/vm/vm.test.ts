/**
 * Containers on a second kernel: Debian's 6.1, with cgroup v2 alone, in a virtual machine. Needs root (for a disk with root's files), the docker command
 * line, busybox-static, nftables, iproute2 and what test/vm/fetch.sh gets. `GANTRY_VM_CONSOLE=1` shows the console while it runs, `GANTRY_VM_CHECKS='networks leave'` makes it
 * these parts of test/vm/guest/checks.sh.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findMachineParts, runMachine } from './machine.ts';

const hangLimitMs = 480_000;
const bundle = fileURLToPath(new URL('../../build/gantryd.cjs', import.meta.url));
const parts = findMachineParts();
const skip = missing();

function missing(): string | false {
  if (process.arch !== 'x64') return 'needs an x86_64 machine';
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/bin/busybox')) return 'needs busybox-static';
  if (!existsSync('/usr/sbin/nft') || !existsSync('/usr/sbin/ip')) return 'needs nftables and iproute2';
  if (!existsSync('/usr/local/bin/docker') && !existsSync('/usr/bin/docker')) return 'needs the docker command line';
  if (!existsSync(bundle)) return 'needs the bundles of ./gantry in build/';
  return typeof parts === 'string' ? parts : false;
}

test('on Linux 6.1 with cgroup v2', { skip, timeout: hangLimitMs + 60_000 }, async (context) => {
  assert.ok(typeof parts !== 'string');
  const { console: text, status, seconds } = await runMachine(parts, hangLimitMs);
  const lines = text.split('\n');
  for (const line of lines) {
    const [, result, name = '', why = ''] = /^(ok|not ok|skip) - (.*?)(?:: (.*))?$/.exec(line) ?? [];
    if (result === 'skip') await context.test(name, { skip: why });
    else if (result !== undefined) await context.test(name, () => assert.ok(result === 'ok', why));
  }
  context.diagnostic(`${lines.filter((line) => line.startsWith('vm: ')).join('; ')}; ${seconds.toFixed(1)} s in all`);
  // A guest that died on the way has told less than it should.
  assert.ok(
    status === 0 && text.includes('vm: leave done'),
    `the machine did not finish (status ${status}):\n${lines.slice(-40).join('\n')}`,
  );
});
