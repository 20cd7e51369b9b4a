/**
 * `npm test`: every suite, unit tests side by side, those that use the kernel one after the other; prints `N passed, N failed, N skipped` last.
 * Arguments are substrings of file names. A skip that this machine could have run fails in CI.
 */
import { globSync } from 'node:fs';
import { relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { setTimeout as delay } from 'node:timers/promises';
import { type Leftovers, leftovers } from './leftovers.ts';

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
  readonly failures: string[];
  readonly skips: string[];
  readonly fileSeconds: Map<string, number>;
}

const wanted = process.argv.slice(2);
const totals: Totals = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [], fileSeconds: new Map() };

const unit = filesOf('src/**/*.test.ts', 'test/architecture/**/*.test.ts', 'test/fuzz*/**/*.test.ts');
const kernel = filesOf(
  'test/kernel/**/*.test.ts',
  'test/network/**/*.test.ts',
  'test/compat/**/*.test.ts',
  'test/differential/**/*.test.ts',
  'test/faults/**/*.test.ts',
  'test/registry/**/*.test.ts',
  'test/build/**/*.test.ts',
  'test/devices/**/*.test.ts',
  // The second kernel, emulated, takes minutes: only when it is asked for, as CI does after everything else.
  ...(wanted.some((part) => part.includes('vm')) ? ['test/vm/**/*.test.ts'] : []),
  // So do the examples, which install packages over the network.
  ...(wanted.some((part) => part.includes('examples')) ? ['test/examples/**/*.test.ts'] : []),
);

const before = leftovers();
await runFiles(unit, 2);
// Side by side: those that let minutes pass, a container writing now and then, and two that are at home in their own daemons.
const lanes = [/^test\/faults\/(without-daemon|silent-monitor)\.test\.ts$/, /^test\/build\//, /^test\/devices\//];
await Promise.all(
  lanes.map((lane) =>
    runFiles(
      kernel.filter((file) => lane.test(file)),
      1,
    ),
  ),
);
await runFiles(
  kernel.filter((file) => !lanes.some((lane) => lane.test(file))),
  1,
);
reportLeftovers(before, await leftoversInTheEnd(before));
report();

function filesOf(...patterns: readonly string[]): string[] {
  const files = patterns.flatMap((pattern) => globSync(pattern)).sort();
  return wanted.length === 0 ? files : files.filter((file) => wanted.some((part) => file.includes(part)));
}

async function runFiles(files: readonly string[], concurrency: number): Promise<void> {
  if (files.length === 0) return;
  // The time limit holds for tests only: a file that keeps a handle after a failed test would hang the whole run.
  const stream = run({ files: [...files], concurrency, timeout: 600_000, execArgv: ['--no-warnings', '--test-force-exit'] });
  stream.on('test:pass', (event) => {
    countTime(event);
    if (event.details.type === 'suite' || isFile(event)) return;
    if (event.skip === undefined && event.todo === undefined) totals.passed++;
    else {
      totals.skipped++;
      totals.skips.push(`${event.name}: ${String(event.skip ?? event.todo)}`);
    }
  });
  stream.on('test:fail', (event) => {
    countTime(event);
    if (event.details.type === 'suite') return;
    totals.failed++;
    totals.failures.push(`${event.file ?? ''}: ${event.name}`);
  });
  await new Promise<void>((resolve, reject) => {
    stream.compose(spec).on('error', reject).on('end', resolve).pipe(process.stdout, { end: false });
  });
}

/** What stands at the top of a file: suites, and tests that are in none. */
function countTime(event: {
  readonly nesting: number;
  readonly file?: string;
  readonly name: string;
  readonly details: { duration_ms: number };
}): void {
  if (event.nesting > 0 || isFile(event)) return;
  const file = relative('.', event.file ?? event.name);
  totals.fileSeconds.set(file, (totals.fileSeconds.get(file) ?? 0) + event.details.duration_ms / 1000);
}

/** With process isolation the runner reports a file as a test of its own; only what is in it counts. */
function isFile(event: { readonly nesting: number; readonly name: string }): boolean {
  return event.nesting === 0 && event.name.endsWith('.test.ts');
}

/** What is on its way out when the last suite ends (a shim of the peer's) has ten seconds to go. */
async function leftoversInTheEnd(old: Leftovers): Promise<Leftovers> {
  for (let tries = 0; ; tries++) {
    const now = leftovers();
    const isNew = Object.entries(now).some(([kind, names]) => names.some((name: string) => !old[kind as keyof Leftovers].includes(name)));
    if (!isNew || tries === 50) return now;
    await delay(200);
  }
}

/** Nothing may be left behind by the suites: it counts as a failure of its own. */
function reportLeftovers(old: Leftovers, now: Leftovers): void {
  for (const [kind, names] of Object.entries(now)) {
    const fresh = names.filter((name: string) => !old[kind as keyof Leftovers].includes(name));
    if (fresh.length === 0) continue;
    totals.failed++;
    totals.failures.push(`left behind (${kind}): ${fresh.slice(0, 10).join(', ')}`);
  }
}

function report(): void {
  console.log('');
  const slowest = [...totals.fileSeconds].sort(([, one], [, other]) => other - one).slice(0, 12);
  for (const [file, seconds] of slowest) console.log(`took ${seconds.toFixed(1).padStart(6)} s: ${file}`);
  for (const skip of totals.skips) console.log(`skipped: ${skip}`);
  for (const failure of totals.failures) console.log(`FAILED: ${failure}`);
  const mustRun = totals.skips.filter(
    (skip) =>
      process.env.CI !== undefined &&
      /needs (the peer|docker-registry|skopeo|root|the docker CLI|busybox|mmdebstrap|python3-docker|qemu)/.test(skip),
  );
  for (const skip of mustRun) console.log(`FAILED: skipped in CI: ${skip}`);
  if (totals.failed + mustRun.length > 0 || totals.passed === 0) process.exitCode = 1;
  console.log(`${totals.passed} passed, ${totals.failed + mustRun.length} failed, ${totals.skipped} skipped`);
}
