import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { cliHome, type FakeDaemon, fakeDaemon, sendJson } from '../testing/run-gantry.ts';

const home = cliHome();
after(() => home[Symbol.dispose]());

let daemon: FakeDaemon;
before(async () => {
  daemon = await fakeDaemon(home.folder, (_path, response) =>
    sendJson(response, 200, [
      {
        name: 'bb',
        description: `A small thing with a description that is a good deal longer than 45 characters`,
        star_count: 12,
        is_official: true,
      },
      { name: 'x/bb', description: 'multi\nline', star_count: 3, is_official: false },
    ]),
  );
});
after(() => daemon[Symbol.asyncDispose]());

const search = async (...args: readonly string[]): Promise<string> => (await home.gantry(['search', ...args], { env: daemon.env })).stdout;

it("search prints Docker's table", async () => {
  assert.equal(
    await search('bb'),
    [
      'NAME      DESCRIPTION                                     STARS     OFFICIAL',
      'bb        A small thing with a description that is a g…   12        [OK]',
      'x/bb      multi line                                      3         ',
      '',
    ].join('\n'),
  );
  assert.equal((await search('--no-trunc', 'bb')).split('\n')[1]?.indexOf('12  '), 91);
});

it('search prints templates and JSON', async () => {
  assert.equal(await search('--format', '{{.Name}}:{{.StarCount}}:{{.IsOfficial}}', 'bb'), 'bb:12:[OK]\nx/bb:3:\n');
  assert.equal(
    (await search('--format', 'json', 'bb')).split('\n')[1],
    '{"Description":"multi line","IsOfficial":"false","Name":"x/bb","StarCount":"3"}',
  );
});
