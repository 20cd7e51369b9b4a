import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DigestUse, ImageDifference, ImageTree, ImageVerification } from '../../client/image-study-types.ts';
import { cliHome, type FakeDaemon, fakeDaemon, sendJson } from '../testing/run-gantry.ts';

const home = cliHome();
after(() => home[Symbol.dispose]());

const hex = (letter: string): string => `sha256:${letter.repeat(64)}`;
const layer = (letter: string, sharedWith: readonly string[], size = 1000): ImageTree['Layers'][number] => ({
  DiffID: hex(letter),
  Blob: hex(letter),
  MediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  BlobSize: size / 2,
  Size: size,
  SharedWith: sharedWith,
});
const image = (letter: string, rest: Partial<ImageTree>): ImageTree => ({
  Id: hex(letter),
  RepoTags: [],
  RepoDigests: [],
  Created: Math.floor(Date.now() / 1000) - 7200,
  Size: 1000,
  Target: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: hex(letter), size: 500 },
  Platforms: [{ Platform: 'linux/amd64', Digest: hex(letter), Available: true }],
  Layers: [layer(letter, [])],
  Containers: [],
  ...rest,
});

const trees: readonly ImageTree[] = [
  image('a', {
    RepoTags: ['debian:12', 'localhost:5000/debian:12'],
    Target: { mediaType: 'application/vnd.oci.image.index.v1+json', digest: hex('f'), size: 500 },
    Platforms: [
      { Platform: 'linux/amd64', Digest: hex('1'), Available: true },
      { Platform: 'linux/arm64/v8', Digest: hex('2'), Available: false },
    ],
    Layers: [layer('c', [hex('b')], 74_000_000)],
    Size: 74_000_000,
    Containers: ['4'.repeat(64), '5'.repeat(64)],
  }),
  image('b', { RepoTags: ['app:1'], Layers: [layer('c', [hex('a')], 74_000_000), layer('d', [])], Size: 74_001_000 }),
  image('e', { RepoDigests: [`x/y@${hex('9')}`] }),
  image('0', {}),
];

let answers: Record<string, (path: string) => unknown> = {};
let daemon: FakeDaemon;
before(async () => {
  daemon = await fakeDaemon(home.folder, (path, response) => {
    const found = Object.entries(answers).find(([start]) => path.startsWith(start));
    if (found === undefined) sendJson(response, 404, { message: `No such image: ${path}` });
    else sendJson(response, 200, found[1](path));
  });
});
after(() => daemon[Symbol.asyncDispose]());

const gantry = (line: string) => home.gantry(line.split(' '), { env: daemon.env });

describe('image ls --tree', () => {
  before(() => {
    const listed = trees.map(({ Id, RepoTags }) => ({
      Id,
      RepoTags,
      RepoDigests: [],
      Created: 0,
      Size: 0,
      SharedSize: 0,
      Containers: 0,
      Labels: null,
    }));
    answers = {
      '/images/tree': () => trees,
      '/images/json': (path) => (path.includes('reference') ? listed.slice(1, 2) : listed),
      '/containers/json': () => [{ Id: '4'.repeat(64), Names: ['/web'] }],
    };
  });

  it('shows names, platforms, what is shared and who uses it', async () => {
    assert.equal(
      (await gantry('image ls --tree')).stdout,
      [
        'IMAGE                      ID             DISK USAGE   CONTENT   SHARED    CREATED       IN USE BY',
        'debian:12                  aaaaaaaaaaaa   74MB         37MB      74MB      2 hours ago   555555555555, web',
        'localhost:5000/debian:12',
        '├─ linux/amd64             111111111111   here',
        '└─ linux/arm64/v8          222222222222   not pulled',
        'app:1                      bbbbbbbbbbbb   74MB         37MB      74MB      2 hours ago',
        'x/y@sha256:999999999999    eeeeeeeeeeee   1kB          500B      0B        2 hours ago',
        '<untagged>                 000000000000   1kB          500B      0B        2 hours ago',
        '',
      ].join('\n'),
    );
  });

  it('shows layers, and takes the filters of the list', async () => {
    assert.equal(
      (await gantry('images --tree --layers app')).stdout,
      [
        'IMAGE        ID             DISK USAGE   CONTENT   SHARED    CREATED       IN USE BY',
        'app:1        bbbbbbbbbbbb   74MB         37MB      74MB      2 hours ago',
        '├─ layer 1   cccccccccccc   74MB         37MB                              also in debian:12',
        '└─ layer 2   dddddddddddd   1kB          500B',
        '',
      ].join('\n'),
    );
  });

  for (const [line, message] of [
    ['images --tree -q', /--quiet is not supported with --tree/],
    ['images --tree --format x', /--format is not supported with --tree/],
    ['images --layers', /--layers needs --tree/],
  ] as const)
    it(line, async () => assert.match((await gantry(line)).stderr, message));
});

describe('image verify', () => {
  const whole: ImageVerification = { Id: hex('a'), Blobs: 3, Bytes: 2_050_000, Layers: 1, Files: 412, Findings: [] };
  const finding = { Kind: 'damaged-blob', What: hex('c'), Text: 'layer 1 of 1: its bytes are damaged; pull the image again' };
  before(() => {
    answers = {
      '/images/json': () => [
        { Id: hex('a'), RepoTags: ['good:1', 'good:2'] },
        { Id: hex('b'), RepoTags: null },
      ],
      '/images/good:1/verify': () => whole,
      '/images/bbbbbbbbbbbb/verify': () => ({ ...whole, Findings: [finding] }),
    };
  });

  it('looks at all images, each once, and fails when one is damaged', async () => {
    assert.deepEqual(await gantry('image verify'), {
      code: 1,
      stdout: `good:1: ok (3 blobs, 1 layer, 412 files, 2.05MB read)\nbbbbbbbbbbbb: damaged-blob ${hex('c')}: ${finding.Text}\n`,
      stderr: '',
    });
    assert.deepEqual(await gantry('image verify -q good:1'), { code: 0, stdout: '', stderr: '' });
  });

  it('goes on after one that is not there', async () => {
    const { code, stdout, stderr } = await gantry('image verify nope good:1');
    assert.equal(code, 1);
    assert.match(stdout, /^good:1: ok/);
    assert.match(stderr, /^Error response from daemon: No such image/);
  });
});

describe('image diff', () => {
  const difference: ImageDifference = {
    From: { Id: hex('a'), Size: 5_000_000 },
    To: { Id: hex('b'), Size: 4_000_000 },
    SharedLayers: [{ DiffID: hex('c'), Size: 3_000_000 }],
    OnlyFrom: [{ DiffID: hex('d'), Size: 2_000_000 }],
    OnlyTo: [{ DiffID: hex('e'), Size: 1_000_000 }],
    Added: 2,
    Changed: 2,
    Removed: 1,
    Truncated: true,
    Changes: [
      { Kind: 'added', Path: '/new\x1b[2J', Type: 'file', After: 12_000 },
      { Kind: 'changed', Path: '/etc/hosts', Type: 'file', Before: 12, After: 40, What: ['content', 'mode'] },
      { Kind: 'changed', Path: '/tmp', Type: 'directory', What: ['owner'] },
      { Kind: 'removed', Path: '/old', Type: 'file', Before: 7 },
    ],
  };
  before(() => {
    answers = { '/images/a/diff': () => difference };
  });

  it('lists files, with sizes and what changed', async () => {
    assert.equal(
      (await gantry('image diff a b')).stdout,
      [
        'a 5MB, b 4MB (-1MB), 1 layer in both',
        'A /new\\x1b[2J   12kB',
        'C /etc/hosts    12B -> 40B   content, mode',
        'C /tmp                       owner',
        'D /old          7B',
        '… and 1 more: give --limit',
        '2 added, 2 changed, 1 removed',
        '',
      ].join('\n'),
    );
    assert.equal(daemon.asked.at(-1), 'GET /images/a/diff?with=b&limit=1000');
  });

  it('lists layers, and gives JSON', async () => {
    assert.equal(
      (await gantry('image diff --layers a b')).stdout,
      'a 5MB, b 4MB (-1MB), 1 layer in both\nIn both:\n  cccccccccccc   3MB\nOnly in a:\n  dddddddddddd   2MB\nOnly in b:\n  eeeeeeeeeeee   1MB\n',
    );
    assert.deepEqual(JSON.parse((await gantry('image diff --format json -n 5 a b')).stdout), difference);
  });
});

describe('image why', () => {
  const use: DigestUse = {
    Digest: hex('c'),
    As: ['blob', 'layer'],
    Size: 45,
    Images: [{ Id: hex('a'), RepoTags: ['debian:12', 'debian:latest'], Why: 'layer 1 of 3' }],
    Containers: [{ Id: '4'.repeat(64), Name: 'web', Image: hex('a') }],
    Others: ['the registry of this daemon'],
  };

  it('lists who needs it', async () => {
    answers = { '/images/why': () => use };
    assert.equal(
      (await gantry('image why cccc')).stdout,
      [
        `${hex('c')}: blob and layer, 45B`,
        'NEEDED BY   NAME                          ID             AS',
        'image       debian:12                     aaaaaaaaaaaa   layer 1 of 3, also named debian:latest',
        'container   web                           444444444444   made from aaaaaaaaaaaa',
        'other       the registry of this daemon',
        '',
      ].join('\n'),
    );
    assert.equal(daemon.asked.at(-1), 'GET /images/why?digest=cccc');
  });

  it('says when nobody does', async () => {
    answers = { '/images/why': () => ({ ...use, As: ['blob'], Images: [], Containers: [], Others: [] }) };
    assert.equal((await gantry('image why cccc')).stdout, `${hex('c')}: blob, 45B\nNobody needs it.\n`);
  });
});
