/** The image catalogue over the real layer store, and archives exchanged with the peer. Needs root; the last tests need the peer (docker.io). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { ImageProgress } from '../../src/images/catalogue.ts';
import { createEmbeddedImages } from '../../src/images/embedded.ts';
import { buildImage, dockerArchive, file, tarOf } from '../../src/images/fixtures/archives.ts';
import { createImageCatalogue } from '../../src/images/image-catalogue.ts';
import { createBlobStore } from '../../src/store/blobs.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createLayerStore } from '../../src/store/layers.ts';
import { runCommand } from '../harness/command.ts';
import { type Peer, peerMissing, startPeer } from '../harness/peer.ts';

const noRoot = process.getuid?.() === 0 ? false : 'needs root';
const noBusybox = noRoot || (existsSync('/bin/busybox') ? false : 'needs busybox-static');
const noPeer = peerMissing() ?? false;

async function openEngine(context: TestContext, root = mkdtempSync(join(tmpdir(), 'gantry-images-'))) {
  const database = await openDatabase(join(root, 'gantry.db'));
  const blobs = await createBlobStore({ root: join(root, 'blobs') });
  const layers = createLayerStore({ root: join(root, 'layers'), blobPath: (digest) => blobs.path(digest) });
  context.after(async () => {
    await layers.close();
    await blobs.close();
    await database.close();
    rmSync(root, { recursive: true, force: true });
  });
  const { catalogue, store } = await createImageCatalogue({ database, blobs, layers });
  const load = async (path: string) => {
    const said: ImageProgress[] = [];
    await catalogue.load(createReadStream(path), (progress) => said.push(progress));
    return said;
  };
  return { root, blobs, layers, catalogue, store, load };
}

/** Every path below the blobs and layers, with type and size: the fsck of these tests. Removal of layers goes on in the background. */
async function settledTree(root: string): Promise<readonly string[]> {
  let last: readonly string[] = tree(root);
  for (let round = 0; round < 50; round++) {
    await delay(20);
    const next = tree(root);
    if (JSON.stringify(next) === JSON.stringify(last) && !next.some((path) => path.includes('/tmp-'))) return next;
    last = next;
  }
  return last;
}

function tree(root: string): readonly string[] {
  return ['blobs', 'layers'].flatMap((top) =>
    readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
      .sort()
      .map((path) => {
        const stats = lstatSync(join(root, top, path), { throwIfNoEntry: false });
        return `${top}/${path} ${stats?.isDirectory() ? 'directory' : stats?.size}`;
      }),
  );
}

test('load → rmi: data root as before; a second load is as the first', { skip: noRoot }, async (context) => {
  const { root, catalogue } = await openEngine(context);
  const empty = await settledTree(root);
  const tar = await dockerArchive([
    { image: await buildImage({ files: ['a', 'b'] }), tags: ['x:1'] },
    { image: await buildImage({ files: ['a', 'c'], packing: 'gzip' }), tags: ['y:1'] },
  ]);
  await catalogue.load(Readable.from([tar]), () => {});
  const { layers } = catalogue.resolve('x:1');
  assert.deepEqual(
    layers.map(({ sizeBytes }) => sizeBytes),
    ['content of a\n'.length, 'content of b\n'.length],
  );
  await catalogue.remove('x:1', { force: false, noPrune: false });
  assert.ok(catalogue.resolve('y:1').layers.some(({ directory }) => directory === layers[0]?.directory));
  await catalogue.remove('y:1', { force: false, noPrune: false });
  assert.deepEqual(await settledTree(root), empty);
});

test('SEC-01 load, import: a hostile layer is refused and nothing is left, inside or outside', { skip: noRoot }, async (context) => {
  const { root, catalogue } = await openEngine(context);
  const empty = await settledTree(root);
  const outside = join(root, 'outside');
  mkdirSync(outside);
  const layer = await tarOf([
    { entry: { type: 'symbolic-link', path: 'way', linkTarget: outside } },
    file('way/written', 'escaped'),
    { entry: { type: 'hard-link', path: 'x', linkTarget: '../../../../../../../../etc/passwd' } },
  ]);
  for (const bytes of [layer, gzipSync(layer), layer.subarray(0, 700)]) {
    const options = { reference: 'x:1', message: '', changes: [], platform: null };
    await catalogue
      .importTar(Readable.from([bytes]), options, () => {})
      .then(
        () => catalogue.remove('x:1', { force: false, noPrune: false }),
        (thrown) => assert.equal(thrown.code, 'invalid', String(thrown)),
      );
    assert.deepEqual(readdirSync(outside), []);
    assert.deepEqual(catalogue.list(), []);
  }
  assert.deepEqual(await settledTree(root), empty);
});

test('load: a full disk is a typed error, nothing is left, and a smaller image still loads', { skip: noRoot }, async (context) => {
  const mount = mkdtempSync(join(tmpdir(), 'gantry-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none', mount]);
  const { root, catalogue } = await openEngine(context, join(mount, 'root'));
  // After the engine's own hook, which closes its files.
  context.after(() => {
    execFileSync('umount', [mount]);
    rmSync(mount, { recursive: true });
  });
  const before = await settledTree(root);
  const options = { reference: null, message: '', changes: [], platform: null };
  for (const megabytes of [20, 5]) {
    // 20 MB: the blob does not fit; 5: the blob does, its files beside it do not.
    const tar = await tarOf([file('big', Buffer.alloc(megabytes << 20, 'x'))]);
    await assert.rejects(
      catalogue.importTar(Readable.from([tar]), options, () => {}),
      (thrown: { code: string; message: string }) => {
        assert.equal(thrown.code, 'system', thrown.message);
        assert.match(thrown.message, /no space left|ENOSPC/i);
        return true;
      },
    );
    assert.deepEqual(await settledTree(root), before);
  }
  await catalogue.importTar(Readable.from([await tarOf([file('small', 'x')])]), options, () => {});
  assert.equal(catalogue.list().length, 1);
});

test('embedded busybox: unpacked, its programs are one file', { skip: noBusybox }, async (context) => {
  const { catalogue, layers, store } = await openEngine(context);
  await createEmbeddedImages(store, { helloWorld: '/bin/busybox', busybox: '/bin/busybox' }).ensure('busybox', () => {});
  const image = catalogue.resolve('busybox');
  const { base, lowers } = layers.mountOrder(image.layers);
  const root = join(base, lowers[0] ?? '');
  assert.equal(lstatSync(join(root, 'bin/sh')).ino, lstatSync(join(root, 'bin/busybox')).ino);
  assert.equal(lstatSync(join(root, 'tmp')).mode & 0o7777, 0o1777);
  assert.equal(image.sizeBytes > lstatSync('/bin/busybox').size, true);
});

let peer: Promise<Peer> | null = null;
after(async () => (await peer)?.stop());

async function docker(...words: string[]): Promise<string> {
  peer ??= startPeer();
  const { host } = await peer;
  const done = await runCommand(['docker', '-H', host, ...words], { timeoutMs: 60_000 });
  assert.equal(done.status, 0, `docker ${words.join(' ')}: ${done.stderr}`);
  return done.stdout.trim();
}

test('load: what the peer saved has the same id, layers, size and history; what we save of it, the peer loads', {
  skip: noPeer || noBusybox,
}, async (context) => {
  const { root, catalogue, load } = await openEngine(context);
  const work = join(root, 'work');
  mkdirSync(join(work, 'bin'), { recursive: true });
  execFileSync('cp', ['/bin/busybox', join(work, 'bin/sh')]);
  writeFileSync(join(work, 'note'), 'one\n');
  const tar = join(root, 'root.tar');
  execFileSync('tar', ['-C', work, '-cf', tar, '.']);
  await docker(
    'import',
    '-c',
    'CMD ["/bin/sh"]',
    '-c',
    'ENV A=1 B="x y"',
    '-c',
    'LABEL __proto__=p',
    '-m',
    'from a test',
    tar,
    'peer:base',
  );
  await docker('create', '--name', 'source', 'peer:base');
  await docker('cp', tar, 'source:/added');
  await docker('commit', '-m', 'second layer', '-c', 'EXPOSE 80/tcp', 'source', 'peer:second');
  const archive = join(root, 'peer.tar');
  await docker('save', '-o', archive, 'peer:base', 'peer:second');

  const texts = (await load(archive)).flatMap((progress) => (progress.kind === 'stream' ? [progress.text] : [])).sort();
  assert.deepEqual(texts, ['Loaded image: peer:base\n', 'Loaded image: peer:second\n']);
  for (const name of ['peer:base', 'peer:second']) {
    const theirs = JSON.parse(await docker('image', 'inspect', name))[0];
    const ours = catalogue.resolve(name);
    assert.equal(ours.id, theirs.Id);
    assert.deepEqual(ours.diffIds, theirs.RootFS.Layers);
    assert.equal(ours.sizeBytes, theirs.Size);
    const history = await docker('history', '--no-trunc', '--format', '{{.ID}}|{{.Size}}|{{.Comment}}', '--human=false', name);
    // The peer knows that peer:second was made from peer:base; an archive does not say so.
    const lines = catalogue.history(name).map(({ id, sizeBytes, comment }, index) => `${index === 0 ? id : '*'}|${sizeBytes}|${comment}`);
    assert.deepEqual(
      lines,
      history.split('\n').map((line, index) => (index === 0 ? line : line.replace(/^[^|]*/, '*'))),
    );
  }

  const ids = [catalogue.resolve('peer:base').id, catalogue.resolve('peer:second').id];
  const saved = join(root, 'ours.tar');
  await pipeline(await catalogue.save(['peer:base', 'peer:second']), createWriteStream(saved));
  await docker('rm', 'source');
  await docker('rmi', 'peer:base', 'peer:second');
  const loaded = await docker('load', '-i', saved);
  assert.deepEqual(loaded.split('\n').sort(), ['Loaded image: peer:base', 'Loaded image: peer:second']);
  assert.deepEqual(
    [await docker('image', 'inspect', '-f', '{{.Id}}', 'peer:base'), await docker('image', 'inspect', '-f', '{{.Id}}', 'peer:second')],
    ids,
  );
  await docker('rmi', 'peer:base', 'peer:second');
});

test('importTar: the config of the changes is the peer’s', { skip: noPeer || noBusybox }, async (context) => {
  const { root, catalogue } = await openEngine(context);
  const tar = join(root, 'root.tar');
  writeFileSync(tar, await tarOf([file('hello', 'x')]));
  const changes = [
    'ENV A=1 B="x y" C=\'$A\' D=$A-$B',
    'ENV OLD the rest of it',
    'LABEL a=b "c d"="e $A"',
    'EXPOSE 80 53/udp 8000-8002',
    'VOLUME /a "/b"',
    'VOLUME ["/c d"]',
    'USER 1000:1000',
    'WORKDIR /w',
    'WORKDIR sub',
    'ONBUILD RUN make',
    'HEALTHCHECK --interval=30s --retries=3 CMD test -e /x',
    'ENTRYPOINT ["/e"]',
    'CMD a "b c"',
  ];
  await docker('import', ...changes.flatMap((change) => ['-c', change]), tar, 'changed:1');
  const theirs = JSON.parse(await docker('image', 'inspect', 'changed:1'))[0].Config;
  const id = await catalogue.importTar(createReadStream(tar), { reference: 'changed:1', message: '', changes, platform: null }, () => {});
  const ours = catalogue.resolve(id).config.config;
  for (const key of [
    'Env',
    'Labels',
    'ExposedPorts',
    'Volumes',
    'User',
    'WorkingDir',
    'StopSignal',
    'OnBuild',
    'Healthcheck',
    'Entrypoint',
    'Cmd',
  ] as const) {
    assert.deepEqual(JSON.parse(JSON.stringify(ours[key] ?? null)), theirs[key] ?? null, key);
  }
  await docker('rmi', 'changed:1');
});
