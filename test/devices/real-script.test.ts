/** test/gpu/real.sh, which is for machines with a driver, on a fake one: it goes through to its end, and nothing fails. Needs root and a C compiler. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../harness/command.ts';
import { makeComputingDriver } from './computing-driver.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const script = fileURLToPath(new URL('../gpu/real.sh', import.meta.url));

test('real.sh on a machine with two GPUs that are not real: discovery, CUDA programs in containers, exclusive use, builds', {
  skip,
  timeout: 600_000,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-real-script-'));
  try {
    const { root } = await makeComputingDriver(join(directory, 'machine'), { gpus: 2 });
    const env = { ...process.env, GANTRY_GPU_ROOT: root, TMPDIR: directory };
    const { status, stdout, stderr } = await runCommand(['/bin/bash', script], { env, timeoutMs: 500_000 });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /\nPASS {2}two containers see different GPUs\n/);
    assert.match(stdout, /\nPASS {2}build --gpus all\n/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
