/** Both stores and `LayerWork` in a temporary directory, and ways to look at what came of it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { ChainId, DiffId, Digest } from '../../src/base/brand.ts';
import { createLayerWork, type OpenLayerWork } from '../../src/build/files/create-layer-work.ts';
import type { MadeLayer } from '../../src/build/files/layer-work.ts';
import type { Tree } from '../../src/build/result.ts';
import { scratchTree, treeOf } from '../../src/build/tree.ts';
import { readAttributesOfPath } from '../../src/linux/extended-attributes.ts';
import { chainIds } from '../../src/oci/digest.ts';
import { type BlobStore, createBlobStore } from '../../src/store/blobs.ts';
import { createLayerStore, type OpenLayerStore } from '../../src/store/layers.ts';
import { createLeases, type Lease, type Leases } from '../../src/store/leases.ts';
import { type LayerEntry, layerTar, sha256 } from '../kernel/layer-fixture.ts';

export const needsRoot = process.getuid?.() === 0 ? false : 'needs root';
export const never = new AbortController().signal;
export const emptyLayer = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

export class BuildFixture {
  readonly directory: string;
  readonly blobs: BlobStore;
  readonly layers: OpenLayerStore;
  readonly work: OpenLayerWork;
  readonly leases: Leases = createLeases();
  readonly lease: Lease = this.leases.acquire();
  /** Where tars are unpacked to be compared. */
  readonly #other: OpenLayerStore;
  #counter = 0;

  static async open(): Promise<BuildFixture> {
    const directory = mkdtempSync(join(tmpdir(), 'g-build-layers-'));
    return new BuildFixture(directory, await createBlobStore({ root: join(directory, 'blobs') }));
  }

  private constructor(directory: string, blobs: BlobStore) {
    this.directory = directory;
    this.blobs = blobs;
    this.layers = createLayerStore({ root: join(directory, 'layers'), blobPath: (digest) => blobs.path(digest) });
    this.#other = createLayerStore({ root: join(directory, 'other'), blobPath: (digest) => blobs.path(digest) });
    this.work = createLayerWork({ layers: this.layers, blobs, root: join(directory, 'tmp') });
  }

  async close(): Promise<void> {
    await this.work.close();
    await this.layers.close();
    await this.#other.close();
    await this.blobs.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A tree of layers made by code, bottom first. */
  async tree(...tars: readonly (readonly LayerEntry[])[]): Promise<Tree> {
    if (tars.length === 0) return scratchTree;
    const sources = [];
    let chainId = '';
    for (const entries of tars) {
      const bytes = layerTar(...entries);
      const { digest } = await this.blobs.write([bytes], { lease: this.lease });
      const diffId = digest as string as DiffId;
      chainId = chainId === '' ? diffId : sha256(`${chainId} ${diffId}`);
      sources.push({ blob: digest, diffId, chainId: chainId as ChainId });
    }
    return treeOf(await this.layers.unpack(sources));
  }

  /** What a RUN would do: `script` in the merged tree of a new workspace. */
  async run(parent: Tree, script: string, epoch = 1000): Promise<MadeLayer> {
    const workspace = await this.work.workspace(parent);
    this.mounted(parent, `upperdir=${workspace.upper},workdir=${workspace.work}`, script);
    return await this.work.seal(workspace, parent, epoch, this.lease, never);
  }

  /** Runs a script in the root of a tree, as the kernel's overlay shows it. */
  mounted(tree: Tree, writable: string, script: string): string {
    const { base, lowers } = this.layers.mountOrder(tree.layers);
    const empty = join(this.directory, `mount-${this.#counter++}`);
    const all = `set -e; mkdir -p "$1/m" "$1/e1" "$1/e2"; mount -t overlay none -o "lowerdir=$2\${2:+:}$1/e1:$1/e2$3,redirect_dir=off,metacopy=off,index=off" "$1/m"; cd "$1/m"; ${script}`;
    const options = ['-m', 'sh', '-c', all, 'sh', empty, lowers.join(':'), writable === '' ? '' : `,${writable}`];
    const text = execFileSync('unshare', options, { cwd: base, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
    rmSync(empty, { recursive: true, force: true });
    return text;
  }

  /** Everything that a container would see, in lines; directories' times left out, as overlay shows those of the topmost. */
  look(tree: Tree): string[] {
    const script = `find . -mindepth 1 -type f -printf '%P f %m %U:%G %Ts ' -exec sha256sum {} \\; ; find . -mindepth 1 -type d -printf '%P d %m %U:%G\\n'; find . -mindepth 1 -not -type f -not -type d -printf '%P %y %m %U:%G %l\\n'`;
    return this.mounted(tree, '', script)
      .split('\n')
      .filter((line) => line !== '')
      .sort();
  }

  /** Names of the entries of a layer's tar with what is said of them. */
  list(made: MadeLayer): string[] {
    const text = execFileSync('tar', ['--numeric-owner', '--utc', '--full-time', '-tvf', this.blobs.path(made.blob.digest)], {
      encoding: 'utf8',
    });
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.replace(/ +/g, ' '));
  }

  names(made: MadeLayer): string[] {
    return execFileSync('tar', ['-tf', this.blobs.path(made.blob.digest)], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line !== '');
  }

  inLayer(made: MadeLayer, path = ''): string {
    return join(this.layers.root, made.layer.directory, 'fs', path);
  }

  /** The directory that was adopted is the one that unpacking its blob on the same parent makes, and the blob is what its digest says. */
  async assertAsUnpacked(made: MadeLayer, parent: Tree): Promise<void> {
    const bytes = readFileSync(this.blobs.path(made.blob.digest));
    assert.equal(sha256(bytes), made.blob.digest);
    assert.equal(bytes.length, made.blob.sizeBytes);
    const diffIds = [...parent.layers, made.layer].map(({ diffId }) => diffId);
    const chains = chainIds(diffIds);
    // Blobs are plain: their digests are the diffIDs.
    const sources = diffIds.map((diffId, index) => ({ blob: diffId as string as Digest, diffId, chainId: chains[index] as ChainId }));
    const unpacked = (await this.#other.unpack(sources)).at(-1);
    assert.deepEqual(unpacked, made.layer);
    const [ours, theirs] = [join(this.layers.root, made.layer.directory), join(this.#other.root, made.layer.directory)];
    assert.deepEqual(snapshot(join(ours, 'fs')), snapshot(join(theirs, 'fs')));
    assert.equal(readFileSync(join(ours, 'layer.json'), 'utf8'), readFileSync(join(theirs, 'layer.json'), 'utf8'));
  }
}

/** All of a directory, as it lies on the disk. */
export function snapshot(root: string, path = '', links = new Map<bigint, string>()): string[] {
  const at = join(root, path);
  const stats = lstatSync(at, { bigint: true });
  const attributes = [...readAttributesOfPath(at, () => true)].map(([name, value]) => `${name}=${value.toString('hex')}`).sort();
  const isWhiteout = stats.isCharacterDevice() && stats.rdev === 0n;
  const same = stats.isDirectory() ? '' : (links.get(stats.ino) ?? path);
  links.set(stats.ino, same);
  const line = [
    path,
    isWhiteout ? 'whiteout' : stats.mode.toString(8),
    isWhiteout ? '' : `${stats.uid}:${stats.gid} ${stats.mtimeNs}`,
    stats.rdev,
    isWhiteout ? '' : same,
    stats.isSymbolicLink() ? readlinkSync(at) : '',
    stats.isFile() ? createHash('sha256').update(readFileSync(at)).digest('hex') : '',
    ...attributes,
  ].join(' ');
  if (!stats.isDirectory()) return [line];
  return [
    line,
    ...readdirSync(at)
      .sort()
      .flatMap((name) => snapshot(root, path === '' ? name : `${path}/${name}`, links)),
  ];
}

const path = fc
  .array(fc.constantFrom('a', 'b', 'é', 'c.d', '\u{1f600}', '\uffee'), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('/'));
const command = fc.oneof(
  path.map((at) => `mkdir -p ${at}`),
  fc.tuple(path, fc.constantFrom('1', '22')).map(([at, text]) => `echo ${text} >${at}`),
  // (No FIFOs: whatever reads or writes one waits.)
  path.map((at) => `mknod ${at} c 1 3`),
  path.map((at) => `setfattr -n user.k -v v ${at}`),
  path.map((at) => `rm -rf ${at}`),
  fc.tuple(path, path).map(([at, to]) => `mv ${at} ${to}`),
  fc.tuple(path, path).map(([at, to]) => `ln ${at} ${to}`),
  fc.tuple(path, path).map(([at, to]) => `ln -s ${at} ${to}`),
  fc.tuple(path, fc.constantFrom('700', '755')).map(([at, mode]) => `chmod ${mode} ${at}`),
  fc.tuple(path, fc.integer({ min: 1, max: 2000 })).map(([at, time]) => `touch -h -d @${time} ${at}`),
);
/** Commands that make, change, move and remove files; those that fail are left out. */
export const randomScript = fc
  .array(command, { maxLength: 12 })
  .map((commands) => ['true', ...commands].map((line) => `${line} 2>/dev/null || true`).join('; '));

/** What a container would see of a tree, for `mounted`: content, modes, owners, links. */
export const treeView = `find . -mindepth 1 -not -type d -printf '%P %y %m %U:%G %l ' -exec sh -c 'test -f "$1" && cat "$1"; true' sh {} \\; -printf '\\n'; find . -mindepth 1 -type d -printf '%P d %m\\n'; find . -mindepth 1 -print0 | LC_ALL=C sort -z | xargs -0 -r getfattr -h --absolute-names -d 2>/dev/null | tr '\\n' ' '`;
