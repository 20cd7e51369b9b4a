import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ociStartError } from './oci-failure.ts';
import { phase } from './protocol.ts';

async function failure(msg: string, exec: string | null = null) {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-oci-'));
  try {
    const log = exec === null ? 'init.log' : `exec-${exec}.log`;
    writeFileSync(join(directory, log), `{"level":"warning","msg":"careful"}\nno JSON\n${JSON.stringify({ level: 'error', msg })}\n`);
    const failed = { name: 'runc', program: '/r', directory, patienceMs: 1000, exec };
    return await ociStartError({ phase: phase.program, index: 0, errno: 256, detail: 0 }, failed);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("ociStartError: the runtime's words, and the exit code that they mean", async () => {
  const cases = [
    ['runc create failed: unable to start container process: exec: "x": executable file not found in $PATH', 127],
    ['exec: "/x": stat /x: no such file or directory', 127],
    ['executable file `/nothing` not found: No such file or directory', 127],
    ['exec: "/etc": permission denied', 126],
    ['the executable `/etc` cannot be run: Is a directory', 126],
    ['cgroups in hybrid mode not supported', 128],
  ] as const;
  for (const [text, code] of cases) {
    const error = await failure(text);
    assert.deepEqual([error?.exitCode, error?.message.includes(text)], [code, true], text);
    if (code === 127) assert.match(error?.message ?? '', /executable file not found|no such file or directory/);
    if (code === 126) assert.match(error?.message ?? '', /permission denied|is a directory/);
  }
  assert.match(
    (await failure('exec failed: exec: "x": executable file not found in $PATH', 'abc'))?.message ?? '',
    /^OCI runtime exec failed: exec failed:/,
  );
});

test('ociStartError: failures of the plan itself are none of its own', async () => {
  const failed = { name: 'runc', program: '/r', directory: '/nowhere', patienceMs: 1000, exec: null };
  assert.equal(await ociStartError({ phase: phase.step, index: 0, errno: 2, detail: 0 }, failed), null);
  const silent = await ociStartError({ phase: phase.program, index: 1, errno: 9, detail: 0 }, failed);
  assert.match(silent?.message ?? '', /"\/r start" of the runtime "runc" ended by signal 9 and gave no reason in its log/);
});
