import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { commandTable } from '../command-table.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { candidates, type NameKind } from './candidates.ts';

const globals = defineFlags('-H, --host list   Daemon\n-D, --debug   More');
const names = async (kind: NameKind) => [`${kind}-1`, `${kind}-2`];
const complete = async (line: string) => (await candidates(line.split(' '), globals, names)).join(' ');

describe('candidates', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['conta', 'container'],
    ['container pau', 'pause'],
    ['-H unix:///x st', 'start stats stop'],
    ['-D sto', 'stop'],
    ['--ho', '--host'],
    ['stop ', 'running-1 running-2'],
    ['rm -f con', 'container-1 container-2'],
    ['container rm container-1 ', 'container-1 container-2'],
    ['run --net', '--network --network-alias'],
    ['run --network ', 'network-1 network-2'],
    ['run -e ', ''],
    ['run --rm -it ', 'image-1 image-2'],
    ['run image-1 ', ''],
    ['run image-1 --net', ''],
    ['exec -it running-1 ', ''],
    ['network connect ', 'network-1 network-2'],
    ['network connect network-1 ', 'container-1 container-2'],
    ['inspect ', 'any-1 any-2'],
    ['device ', 'generate hook inspect list ls'],
    ['device inspect ', 'device-1 device-2'],
    ['run --device ', 'device-1 device-2'],
    ['logs --fo', '--follow'],
    ['nonsense ', ''],
  ];
  for (const [line, words] of cases) it(`"${line}"`, async () => assert.equal(await complete(line), words));

  it('knows every command', async () => {
    for (const { paths, load } of commandTable) {
      await load();
      for (const path of paths) assert.ok((await complete(path)).split(' ').includes(path.split(' ').at(-1) ?? ''), path);
    }
  });
});
