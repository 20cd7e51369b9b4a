/** `npm run ok`: types, lint and format, architecture test, unit tests; under a minute. */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { resolve } from 'node:path';

const steps: readonly (readonly [string, readonly string[]])[] = [
  ['tsc', ['-p', 'tsconfig.json']],
  ['biome', ['check', '--error-on-warnings']],
  [
    process.execPath,
    [
      '--no-warnings',
      '--test',
      '--test-concurrency=2',
      '--test-force-exit',
      '--test-reporter=dot',
      ...globSync(['src/**/*.test.ts', 'test/architecture/**/*.test.ts']),
    ],
  ],
];

// Each test file is a process of its own, and most load the same modules: their types are stripped and they are compiled once.
for (const [command, args] of steps) {
  const started = Date.now();
  const { status } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, NODE_COMPILE_CACHE: resolve('.cache/compiled') },
  });
  console.log(
    `${status === 0 ? 'ok' : 'FAILED'}: ${command === process.execPath ? 'unit tests' : command} (${((Date.now() - started) / 1000).toFixed(1)} s)`,
  );
  if (status !== 0) process.exit(1);
}
