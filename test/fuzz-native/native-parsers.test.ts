/**
 * The native parsers under ASan and UBSan (see fuzz.c), a sample of the seeded run; GANTRY_FUZZ_ITERATIONS and GANTRY_FUZZ_SEED ask for more or for another one.
 * Needs a C compiler with libasan.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { encodePlan } from '../../src/runtime/plan-encoding.ts';
import { planOfEveryStep } from '../../src/runtime/plan-of-every-step.ts';
import { PayloadWriter, protocolVersion } from '../../src/runtime/protocol.ts';

const native = resolve(import.meta.dirname, '../../native');
const directory = mkdtempSync(join(tmpdir(), 'gantry-fuzz-'));
const program = join(directory, 'fuzz');
const seed = process.env.GANTRY_FUZZ_SEED ?? '1';
const iterations = process.env.GANTRY_FUZZ_ITERATIONS ?? '200000';

function compile(): string | null {
  const sources = ['wire.c', 'plan.c', 'start.c', 'kept.c', 'jsonlog.c', 'files.c'].map((name) => join(native, name));
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  const run = spawnSync('gcc', [...flags, ...sources, join(import.meta.dirname, 'fuzz.c'), '-o', program], { encoding: 'utf8' });
  return run.status === 0 ? null : `needs gcc with libasan: ${run.stderr?.slice(-300) ?? run.error?.message}`;
}

function startPayload(): Buffer {
  const id = '0123456789abcdef'.repeat(4);
  const texts = ['/run/gantry/c/x/exit', '/var/lib/gantry/x-json.log'] as const;
  return new PayloadWriter()
    .u32(protocolVersion)
    .text(id)
    .u32(1)
    .u32(2)
    .u32(0)
    .text(texts[0])
    .text(texts[1])
    .u64(10_000_000)
    .u32(3)
    .text('/sys/fs/cgroup/memory/x/memory.oom_control')
    .text('/sys/fs/cgroup/unified/x/cgroup.kill')
    .text('')
    .texts(['/sys/fs/cgroup/memory/x', '/sys/fs/cgroup/unified/x'])
    .descriptors([
      { label: 'netns', fd: 20 },
      { label: 'tcp 0.0.0.0:80', fd: 21 },
    ])
    .raw(encodePlan(planOfEveryStep))
    .finish();
}

const missing = compile();

describe('native parsers', { skip: missing ?? false, timeout: 120_000 }, () => {
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('plan and START: mutated input is accepted or refused, never read beyond its end', () => {
    const plan = join(directory, 'plan');
    const start = join(directory, 'start');
    writeFileSync(plan, encodePlan(planOfEveryStep));
    writeFileSync(start, startPayload());
    const run = spawnSync(program, ['parse', seed, iterations, plan, start], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, new RegExp(`${plan} plan\n${start} other\n`), 'the unchanged plan is accepted');
  });

  it('log: records hold what was written, whatever the bytes and wherever the reads cut them', () => {
    const text = 'plain text, "quotes", <b>&amp;</b> \\ tab\t bell\u0007 \r\n\n日本語 🙂 \u2028 \u2029 é\n';
    const inputs = [
      Buffer.from(text.repeat(500)),
      Buffer.from(`${'🙂é日'.repeat(20_000)}\nshort\n`),
      Buffer.from(`${'x'.repeat(16_384)}\n${'y'.repeat(16_383)}\n${'z'.repeat(16_385)}`),
    ];
    for (const [index, input] of inputs.entries()) assert.deepEqual(logOf(input, index, 0).text, input.toString('utf8'));
    for (let index = 0; index < 5; index++) {
      const input = randomBytes(100_000);
      assert.equal(logOf(input, index, 0).text, decodeAsGo(input));
    }
  });

  it('log: rotation keeps records whole and files within their size', () => {
    const input = Buffer.from('one line of the log\n'.repeat(3000));
    const log = join(directory, 'rotated.log');
    const run = spawnSync(program, ['log', seed, '20000', '3', log], { input });
    assert.equal(run.status, 0, run.stderr.toString());
    const texts = ['', '.1', '.2'].map((suffix) => readFileSync(log + suffix, 'utf8'));
    for (const file of texts) assert.ok(file.length >= 20_000 * 0.1 && file.length < 20_000 + 200 && file.endsWith('"}\n'));
  });

  function logOf(input: Buffer, index: number, maxSize: number): { text: string } {
    const log = join(directory, `log-${randomBytes(4).toString('hex')}`);
    const run = spawnSync(program, ['log', String(Number(seed) + index), String(maxSize), '1', log], { input });
    assert.equal(run.status, 0, run.stderr.toString());
    const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
    const records = lines.map((line) => JSON.parse(line) as { log: string; stream: string; time: string });
    for (const record of records) assert.ok(Buffer.byteLength(record.log) <= 16_384 * 3 && record.stream === 'stdout');
    return { text: records.map((record) => record.log).join('') };
  }
});

/** Go's decoder makes U+FFFD of every invalid byte, WHATWG's of every maximal invalid part. */
function decodeAsGo(bytes: Buffer): string {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((n) => {
      try {
        return strict.decode(bytes.subarray(at, at + n)).length > 0 && at + n <= bytes.length;
      } catch {
        return false;
      }
    });
    text += length === undefined ? '\ufffd' : bytes.toString('utf8', at, at + length);
    at += length ?? 1;
  }
  return text;
}
