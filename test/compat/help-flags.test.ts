/** Every flag that the docker CLI's help shows exists here too, with the same short letter, for every command that both have. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { commandTable } from '../../src/cli/command-table.ts';
import { registryCommands } from '../../src/cli/completion/candidates.ts';
import { runCommand, shell } from '../harness/command.ts';

const missing = (await shell('docker --version')).status === 0 ? false : 'needs the docker CLI';

/** Commands of our own. */
const ours = new Set([
  'device inspect',
  'device ls',
  'ports',
  'debug',
  'lease',
  'completion',
  'install',
  'uninstall',
  'image verify',
  'image diff',
  'image why',
  'system fsck',
  'system stop',
  'system reset',
  'volume rename',
  'volume clone',
  'volume export',
  'volume import',
]);

/** Newer clients have dropped it. */
const gone = '--disable-content-trust';

/** `-e, --env list` and `    --env-file list` of a help text → `--env -e`. */
function flagsOf(help: string): readonly string[] {
  const lines = help.split('\n').map((line) => /^ {2}(?:-(\w), | {4})--([\w-]+)/.exec(line));
  return lines.flatMap((match) =>
    match === null || match[2] === 'help' ? [] : [`--${match[2]}${match[1] === undefined ? '' : ` -${match[1]}`}`],
  );
}

describe('flags of the docker CLI', { skip: missing }, () => {
  for (const { paths, load } of commandTable) {
    const [path = ''] = paths;
    if (ours.has(path)) continue;
    it(path, async () => {
      const { stdout } = await runCommand(['docker', ...path.split(' '), '--help']);
      assert.match(stdout, /Usage: {2}docker /, 'docker has no such command: name it among our own');
      const { flags } = await load();
      const have = new Set(flags.map(({ name, short }) => `--${name}${short === '' ? '' : ` -${short}`}`));
      assert.deepEqual(
        flagsOf(stdout).filter((flag) => !have.has(flag) && flag !== gone),
        [],
      );
    });
  }
});

it('completion knows the commands of registry', async () => {
  const main = fileURLToPath(new URL('../../src/main/main.ts', import.meta.url));
  const { stdout } = await runCommand([process.execPath, '--no-warnings', main, 'registry', '--help']);
  const listed = [...stdout.matchAll(/^ {2}([\w-]+) {2,}/gm)].map(([, name]) => name ?? '');
  assert.deepEqual(listed.sort(), registryCommands);
});
