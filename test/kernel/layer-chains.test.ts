/**
 * Chains of layers, compared three ways: a plain model of "apply one layer after the other", the kernel's overlay over what the store unpacked, and
 * `LayerStack`, which reads the same without a mount. Needs root and overlay.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { LayerStack } from '../../src/store/layer-stack.ts';
import type { LayerRef } from '../../src/store/layer-store.ts';
import { type LayerEntry, LayerFixture, layerTar, needsRoot } from './layer-fixture.ts';

interface Node {
  readonly kind: 'directory' | 'file';
  readonly content: string;
  readonly mode: number;
  /** The last layer that said something at or below it. */
  layer: number;
}

/** What layers mean, without overlay: paths to nodes. */
class Model {
  readonly nodes = new Map<string, Node>();

  /** False: the layer is to be refused. */
  apply(layer: number, entries: readonly LayerEntry[]): boolean {
    return entries.every((entry) => this.#entry(layer, entry));
  }

  #entry(layer: number, entry: LayerEntry): boolean {
    const components = entry.path.replace(/\/$/, '').split('/');
    const name = components.pop() ?? '';
    const parent = components.join('/');
    if (name.startsWith('.wh.') && name !== '.wh..wh..opq' && !this.#isThere(components)) return !this.#isBlocked(components);
    if (!this.#makeParents(layer, components)) return false;
    if (name === '.wh..wh..opq') return this.#hide(layer, parent, false);
    const path = join(parent, name.replace(/^\.wh\./, ''));
    if (name.startsWith('.wh.')) return this.#hide(layer, path, true);
    const existing = this.nodes.get(path);
    if (entry.type === 'hard-link') return this.#link(layer, path, entry.linkTarget ?? '');
    if (entry.path.endsWith('/')) {
      if (existing?.kind !== 'directory') this.#remove(path);
      this.nodes.set(path, { kind: 'directory', content: '', mode: entry.mode ?? 0, layer });
    } else {
      this.#remove(path);
      this.nodes.set(path, { kind: 'file', content: entry.content ?? '', mode: entry.mode ?? 0, layer });
    }
    return true;
  }

  #link(layer: number, path: string, target: string): boolean {
    const node = this.nodes.get(target);
    if (node?.kind !== 'file' || this.#isBlocked(target.split('/').slice(0, -1))) return false;
    if (path === target) return true;
    if (target.startsWith(`${path}/`)) return false;
    // The target becomes this layer's own, as its links can't reach into another.
    this.#makeParents(layer, target.split('/').slice(0, -1));
    this.nodes.set(target, { ...node, layer });
    this.#remove(path);
    this.nodes.set(path, { ...node, layer });
    return true;
  }

  /** What the layers below brought goes; what this layer brought stays. */
  #hide(layer: number, path: string, itself: boolean): boolean {
    for (const [key, node] of [...this.nodes]) {
      if ((key.startsWith(path === '' ? '' : `${path}/`) || (itself && key === path)) && node.layer < layer) this.nodes.delete(key);
    }
    return true;
  }

  #makeParents(layer: number, components: readonly string[]): boolean {
    if (this.#isBlocked(components)) return false;
    for (let length = 1; length <= components.length; length++) {
      const path = components.slice(0, length).join('/');
      const node = this.nodes.get(path);
      this.nodes.set(path, { kind: 'directory', content: '', mode: node?.mode ?? 0o755, layer });
    }
    return true;
  }

  #isThere(components: readonly string[]): boolean {
    return components.length === 0 || this.nodes.get(components.join('/'))?.kind === 'directory';
  }

  #isBlocked(components: readonly string[]): boolean {
    return components.some((_, index) => this.nodes.get(components.slice(0, index + 1).join('/'))?.kind === 'file');
  }

  #remove(path: string): void {
    for (const key of [...this.nodes.keys()]) if (key === path || key.startsWith(`${path}/`)) this.nodes.delete(key);
  }

  lines(): string[] {
    return [...this.nodes]
      .map(
        ([path, node]) => `${path} ${node.kind === 'file' ? `f ${node.mode.toString(8)} ${node.content}` : `d ${node.mode.toString(8)}`}`,
      )
      .sort();
  }
}

/** The tree that a container would see, by the kernel. `c?????????` would fail the `find`. */
function mounted(fixture: LayerFixture, refs: readonly LayerRef[]): string[] {
  const { base, lowers } = fixture.store.mountOrder(refs);
  const scratch = join(fixture.directory, 'scratch');
  rmSync(scratch, { recursive: true, force: true });
  for (const name of ['upper', 'work', 'm']) mkdirSync(join(scratch, name), { recursive: true });
  const script = `set -e; mount -t overlay none -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work,redirect_dir=off,metacopy=off,index=off" "$2/m"; cd "$2/m"
    find . -mindepth 1 -type f -printf '%P f %m ' -exec cat {} \\; -printf '\\n'
    find . -mindepth 1 -not -type f -printf '%P %y %m\\n'`;
  const output = execFileSync('unshare', ['-m', 'sh', '-c', script, 'sh', lowers.join(':'), scratch], { cwd: base, encoding: 'utf8' });
  return output
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

function read(fixture: LayerFixture, refs: readonly LayerRef[], model: Model): string[] {
  const stack = new LayerStack(fixture.stack(refs));
  const lines: string[] = [];
  for (const path of [...model.nodes.keys()].sort()) {
    const found = stack.lookup(path.split('/'));
    if (found === null) continue;
    const mode = (found.stats.mode & 0o7777).toString(8);
    lines.push(found.stats.isDirectory() ? `${path} d ${mode}` : `${path} f ${mode} ${readFileSync(found.path)}`);
  }
  return lines.sort();
}

const name = fc.constantFrom('a', 'b', 'c');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const entry: fc.Arbitrary<LayerEntry> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ path: path.map((at) => `${at}/`), mode: fc.constantFrom(0o700, 0o711, 0o750) }) },
  { weight: 4, arbitrary: fc.record({ path, content: fc.constantFrom('one', 'two', 'three'), mode: fc.constantFrom(0o600, 0o644) }) },
  { weight: 2, arbitrary: fc.tuple(path, name).map(([at, hidden]) => ({ path: `${at}/.wh.${hidden}` })) },
  { weight: 1, arbitrary: name.map((hidden) => ({ path: `.wh.${hidden}` })) },
  { weight: 1, arbitrary: path.map((at) => ({ path: `${at}/.wh..wh..opq` })) },
  { weight: 1, arbitrary: fc.tuple(path, path).map(([at, target]): LayerEntry => ({ path: at, type: 'hard-link', linkTarget: target })) },
);
let goodChains = 0;
const runs = Number(process.env.GANTRY_CHAIN_RUNS ?? 60);

test('createLayerStore: random chains look as if applied one after the other', { skip: needsRoot }, async (context) => {
  const fixture = new LayerFixture();
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(entry, { maxLength: 7 }), { minLength: 1, maxLength: 4 }), async (layers) => {
        const model = new Model();
        const good = layers.every((entries, layer) => model.apply(layer, entries));
        const sources = fixture.chain(...layers.map((entries) => layerTar(...entries)));
        if (!good) {
          await assert.rejects(fixture.unpack(sources), { code: 'invalid' });
          return;
        }
        goodChains++;
        const refs = await fixture.unpack(sources);
        assert.deepEqual(read(fixture, refs, model), model.lines());
        if (fixture.store.mountOrder(refs).lowers.length > 0) assert.deepEqual(mounted(fixture, refs), model.lines());
      }),
      { numRuns: runs },
    );
    context.diagnostic(`${goodChains} of ${runs} chains were good ones`);
  } finally {
    await fixture.close();
  }
});
