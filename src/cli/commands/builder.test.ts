import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Answer, cliHome, fakeDaemon, sendJson } from '../testing/run-gantry.ts';

const now = new Date(Date.now() - 3_600_000).toISOString();
const record = {
  Type: 'regular',
  InUse: false,
  Shared: false,
  Size: 1500,
  CreatedAt: now,
  LastUsedAt: now,
  UsageCount: 2,
  Description: '[build] RUN make',
};
const cache = [
  { ...record, ID: 'aaa', Parents: ['bbb'] },
  { ...record, ID: 'bbb', Shared: true, Size: 500, Description: 'COPY . .' },
  { ...record, ID: 'ccc', Type: 'exec.cachemount', InUse: true, Size: 100, Description: 'mount\x1b[2J' },
];
const builds = [
  {
    ID: 'f1e2d3c4b5a6f7e8',
    Name: 'web',
    Status: 'error',
    StartedAt: now,
    CompletedAt: new Date(Date.parse(now) + 61_500).toISOString(),
    Steps: 3,
    CachedSteps: 1,
    Warnings: 0,
    Error: 'process failed',
    ImageID: null,
  },
  {
    ID: 'f1000000b5a6f7e8',
    Name: 'api',
    Status: 'completed',
    StartedAt: now,
    CompletedAt: now,
    Steps: 2,
    CachedSteps: 2,
    Warnings: 1,
    Error: null,
    ImageID: 'sha256:1',
  },
];

const answer: Answer = (path, response) => {
  if (path.startsWith('/system/df')) sendJson(response, 200, { BuildCache: cache });
  else if (path.startsWith('/build/prune')) sendJson(response, 200, { CachesDeleted: ['aaa'], SpaceReclaimed: 1500 });
  else sendJson(response, 200, builds);
};

async function gantry(line: string) {
  using home = cliHome();
  await using daemon = await fakeDaemon(home.folder, answer);
  const result = await home.gantry(line.split(' '), { env: daemon.env });
  return { ...result, asked: daemon.asked };
}

describe('gantry builder', () => {
  it('df shows what the cache holds, the largest first, and sums', async () => {
    const { stdout, asked } = await gantry('builder df');
    assert.deepEqual(asked, ['GET /system/df?type=build-cache']);
    const lines = stdout.split('\n').map((line) => line.split(/ {2,}/).join('|'));
    assert.deepEqual(lines, [
      'ID|TYPE|RECLAIMABLE|SIZE|LAST ACCESSED|DESCRIPTION',
      'aaa|regular|true|1.5kB|About an hour ago|[build] RUN make',
      'bbb|regular|false|500B*|About an hour ago|COPY . .',
      'ccc|exec.cachemount|false|100B|About an hour ago|mount',
      'Shared:|500B',
      'Private:|1.6kB',
      'Reclaimable:|1.5kB',
      'Total:|2.1kB',
      '',
    ]);
  });

  it('df filters and formats', async () => {
    assert.equal((await gantry('buildx du --filter type=regular --filter shared=false --format {{.ID}}')).stdout, 'aaa\n');
    assert.match((await gantry('builder du --verbose --filter id=a')).stdout, /^ID: +aaa\nParents: +bbb\n/);
    assert.match((await gantry('builder df --filter colour=red')).stderr, /there is no filter colour/);
  });

  it('prune sends what stays, and asks before', async () => {
    const { stdout, asked } = await gantry(
      'builder prune -af --filter until=24h --reserved-space 1g --max-used-space 2g --keep-storage 5m',
    );
    assert.equal(stdout, 'Deleted build cache objects:\naaa\n\nTotal reclaimed space: 1.5kB\n');
    const query = new URLSearchParams(asked[0]?.split('?')[1]);
    assert.deepEqual(Object.fromEntries(query), {
      all: '1',
      filters: '{"until":{"24h":true}}',
      'keep-storage': String(5 * 1024 ** 2),
      'reserved-space': String(1024 ** 3),
      'max-used-space': String(2 * 1024 ** 3),
    });
    const refused = await gantry('builder prune');
    assert.match(refused.stdout, /WARNING! This will remove all build cache that no image uses/);
    assert.equal(refused.asked.length, 0);
  });

  it('history lists builds and shows one', async () => {
    assert.equal(
      (await gantry('builder history ls --format {{.ID}}|{{.Status}}|{{.Duration}}|{{.Steps}}')).stdout,
      'f1e2d3c4b5a6|Error|1m 1s|1/3\nf1000000b5a6|Completed|0.0s|2/2\n',
    );
    assert.match(
      (await gantry('buildx history inspect')).stdout,
      /^Build: +f1e2d3c4b5a6f7e8\nName: +web\nStatus: +Error\n[\s\S]*\nError:\n {2}process failed\n$/,
    );
    assert.equal((await gantry('builder history inspect -f {{.Name}} f10')).stdout, 'api\n');
    assert.match((await gantry('builder history inspect f1')).stderr, /several builds begin with f1/);
    assert.match((await gantry('builder history inspect x')).stderr, /no such build: x/);
  });

  it('help of build is in groups, with examples, under all of its names', async () => {
    for (const name of ['build', 'image build', 'builder build', 'buildx build']) {
      const { code, stdout } = await gantry(`help ${name}`);
      assert.equal(code, 0);
      for (const part of [
        'Usage:  gantry',
        'What is built:\n',
        'What comes of it:\n',
        'How it is shown:\n',
        'How steps run:\n',
        '\nExamples:\n',
        '--secret list',
      ])
        assert.ok(stdout.includes(part), `${name}: ${part}`);
    }
  });
});
