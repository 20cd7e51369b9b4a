import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { SpecDirectories } from './spec-directories.ts';

let root: string;
let directories: SpecDirectories;

const spec = (names: readonly string[], kind = 'vendor.com/class'): string =>
  JSON.stringify({ cdiVersion: '0.6.0', kind, devices: names.map((name) => ({ name, containerEdits: { env: [`N=${name}`] } })) });

const write = (name: string, text: string): void => writeFileSync(join(root, name), text);

async function seen(): Promise<readonly string[]> {
  const { files } = await directories.look();
  return files.map(
    ({ file, priority, spec: { devices } }) => `${file.slice(root.length + 1)} ${priority} ${devices.map(({ name }) => name).join()}`,
  );
}

async function problems(): Promise<readonly string[]> {
  return (await directories.look()).problems.map(({ source, text }) => {
    assert.ok(text.startsWith(source), text);
    return text.slice(root.length + 1);
  });
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cdi-'));
  for (const name of ['a', 'b']) mkdirSync(join(root, name));
  directories = new SpecDirectories([join(root, 'a'), join(root, 'missing'), join(root, 'b')]);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('SpecDirectories', () => {
  it('reads *.json and *.yaml, later directories with higher priority', async () => {
    write('a/z.json', spec(['one', 'two']));
    write('a/y.yaml', 'cdiVersion: 0.5.0\nkind: a/b\ndevices: [{name: three, containerEdits: {env: [A=1]}}]');
    write('b/x.json', spec(['four']));
    write('b/notes.txt', 'nothing');
    mkdirSync(join(root, 'b/folder.json'));
    assert.deepEqual(await seen(), ['a/y.yaml 0 three', 'a/z.json 0 one,two', 'b/x.json 2 four']);
    assert.deepEqual(await problems(), []);
  });

  it('sees what comes, changes and goes', async () => {
    assert.deepEqual(await seen(), []);
    write('a/x.json', spec(['one']));
    assert.deepEqual(await seen(), ['a/x.json 0 one']);
    write('a/x.json', spec(['two']));
    assert.deepEqual(await seen(), ['a/x.json 0 two']);
    write('a/new', spec(['six']));
    renameSync(join(root, 'a/new'), join(root, 'a/x.json'));
    assert.deepEqual(await seen(), ['a/x.json 0 six']);
    rmSync(join(root, 'a/x.json'));
    mkdirSync(join(root, 'missing'));
    write('missing/y.json', spec(['one']));
    assert.deepEqual(await seen(), ['missing/y.json 1 one']);
  });

  it('does not read again what has not changed', async () => {
    write('a/x.json', spec(['one']));
    utimesSync(join(root, 'a/x.json'), 1, 1);
    // Its change time is what tells, and that has to be some seconds ago.
    await new Promise((resolve) => setTimeout(resolve, 2100));
    const [first] = (await directories.look()).files;
    const [second] = (await directories.look()).files;
    assert.equal(first?.spec, second?.spec);
    write('a/x.json', spec(['two']));
    assert.deepEqual(await seen(), ['a/x.json 0 two']);
  });

  it('goes on beside files that cannot be used, and says why', { timeout: 60_000 }, async () => {
    write('a/broken.json', '{"cdiVersion": "0.6.0"');
    write('a/empty.yaml', '');
    write('a/good.json', spec(['one']));
    write('a/huge.json', '{');
    truncateSync(join(root, 'a/huge.json'), 5 * 1024 * 1024);
    write('a/old.yml', '');
    write('a/wrong.json', spec(['a b']));
    symlinkSync('/nowhere/x.json', join(root, 'a/link.json'));
    symlinkSync('/dev/zero', join(root, 'a/zero.json'));
    execFileSync('mkfifo', [join(root, 'a/fifo.json')]);
    assert.deepEqual(await seen(), ['a/good.json 0 one']);
    const texts = await problems();
    const expected = [
      /^a\/old\.yml: it is not read: descriptions are \*\.json and \*\.yaml: rename it$/,
      /^a\/broken\.json: Flow map .* at line 1/,
      /^a\/empty\.yaml: it is empty/,
      /^a\/fifo\.json: it is not a regular file$/,
      /^a\/huge\.json: it is larger than 4 MiB/,
      /^a\/link\.json: it is a symbolic link to nothing$/,
      /^a\/wrong\.json: devices\[0\]\.name: "a b" may have/,
      /^a\/zero\.json: it is not a regular file$/,
    ];
    for (const pattern of expected)
      assert.ok(
        texts.some((text) => pattern.test(text)),
        `${pattern} in\n${texts.join('\n')}`,
      );
    assert.equal(texts.length, expected.length);
  });

  it('reads large ones in a thread', { timeout: 120_000 }, async () => {
    const names = Array.from({ length: 2000 }, (_, index) => `d${index}`);
    write(
      'a/large.yaml',
      `cdiVersion: 0.6.0\nkind: a/b\ndevices:\n${names.map((name) => `- {name: ${name}, containerEdits: {env: [A=1]}}\n`).join('')}`,
    );
    write('b/large.yaml', `cdiVersion: 0.6.0\n${'# words\n'.repeat(4000)}kind: a/b\ndevices: 7\n`);
    assert.deepEqual(await seen(), [`a/large.yaml 0 ${names.join()}`]);
    assert.deepEqual(await problems(), ['b/large.yaml: devices: must be a list, not 7']);
  });

  it('says that a directory is none', async () => {
    write('file', '');
    directories = new SpecDirectories([join(root, 'file')]);
    assert.match((await problems())[0] ?? '', /^file: ENOTDIR/);
  });
});
