/** Build steps on the native runtime over a busybox tree, without network, builder and API. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChainId, DiffId } from '../../src/base/brand.ts';
import { silentLogger } from '../../src/base/log.ts';
import { plainRunSettings } from '../../src/build/core/testing/plain-run-settings.ts';
import type { Tree } from '../../src/build/result.ts';
import { treeOf } from '../../src/build/tree.ts';
import { type ContainerService, createContainers } from '../../src/containers/container-service.ts';
import { readHostFacts } from '../../src/containers/host-facts.ts';
import { plainSecurity } from '../../src/containers/security-defaults.ts';
import type { Step, StepEnd } from '../../src/containers/steps/step.ts';
import { FakeNetworks } from '../../src/containers/testing/fake-networks.ts';
import { FakeVolumes } from '../../src/containers/testing/fake-volumes.ts';
import { createImageCatalogue } from '../../src/images/image-catalogue.ts';
import { cgroupPlacement, removeCgroup } from '../../src/linux/cgroups.ts';
import { removeNamedCgroups } from '../../src/linux/named-hierarchies.ts';
import { onlyNative } from '../../src/runtime/runtime-names.ts';
import { RuntimeSelection } from '../../src/runtime/runtime-selection.ts';
import { type BlobStore, createBlobStore } from '../../src/store/blobs.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createLayerStore, type OpenLayerStore } from '../../src/store/layers.ts';
import type { Lease } from '../../src/store/leases.ts';
import { launcherPath } from '../kernel/native-fixture.ts';

const busybox = '/bin/busybox';

export interface RanStep extends StepEnd {
  readonly stdout: string;
  readonly stderr: string;
  /** What it wrote: paths, sorted, directories with a slash. */
  readonly written: readonly string[];
  readonly upper: string;
}

export class StepsFixture {
  readonly directory: string;
  readonly cgroupParent: string;
  readonly tree: string;
  service!: ContainerService;
  layers!: OpenLayerStore;
  blobs!: BlobStore;
  runtime!: RuntimeSelection;
  #close: () => Promise<void> = async () => {};

  /** `other`: a second daemon on the same directory. */
  constructor(other: Pick<StepsFixture, 'directory' | 'cgroupParent'> | null = null) {
    this.directory = other?.directory ?? mkdtempSync(join(tmpdir(), 'g-steps-'));
    this.cgroupParent = other?.cgroupParent ?? `/gantry-steps-${process.pid}-${randomBytes(3).toString('hex')}`;
    this.tree = join(this.directory, 'tree');
    if (other !== null) return;
    mkdirSync(join(this.tree, 'bin'), { recursive: true });
    for (const name of ['etc', 'tmp', 'root', 'var', 'home']) mkdirSync(join(this.tree, name));
    copyFileSync(busybox, join(this.tree, 'bin/busybox'));
    for (const name of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n'))
      if (name !== 'busybox') execFileSync('ln', ['-s', 'busybox', join(this.tree, 'bin', name)]);
    writeFileSync(join(this.tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/home:/bin/sh\n');
    writeFileSync(join(this.tree, 'etc/group'), 'root:x:0:\nwheel:x:10:app\n');
  }

  get steps() {
    return this.service.steps;
  }

  get stepsDirectory(): string {
    return join(this.directory, 'data/build/steps');
  }

  async open(): Promise<void> {
    const data = join(this.directory, 'data');
    mkdirSync(data, { recursive: true });
    const database = await openDatabase(join(data, 'gantry.db'));
    const blobs = await createBlobStore({ root: join(data, 'blobs') });
    const layers = createLayerStore({ root: join(data, 'layers'), blobPath: (digest) => blobs.path(digest) });
    const { catalogue } = await createImageCatalogue({ database, blobs, layers });
    const runtime = new RuntimeSelection({ execRoot: join(this.directory, 'run'), launcherPath }, []);
    await runtime.boot();
    this.layers = layers;
    this.blobs = blobs;
    this.runtime = runtime;
    this.service = await createContainers({
      dataRoot: data,
      execRoot: join(this.directory, 'run'),
      cgroupParent: this.cgroupParent,
      database,
      images: catalogue,
      layers,
      runtime,
      runtimes: onlyNative,
      networks: new FakeNetworks(),
      volumes: new FakeVolumes(),
      daemonDns: { servers: [], search: [], options: [] },
      init: { program: null, byDefault: false },
      host: readHostFacts(),
      security: plainSecurity,
      logger: silentLogger,
    });
    this.#close = async () => {
      await this.service.close();
      await runtime.close();
      await layers.close();
      await blobs.close();
      await database.close();
    };
  }

  async dispose(): Promise<void> {
    const launcher = await this.runtime.launcher.ensure();
    await this.#close();
    for (let waited = 0; waited < 5000 && existsSync(`/proc/${launcher}`); waited += 10) await sleep(10);
    await removeCgroup(this.cgroupParent);
    await removeNamedCgroups(this.cgroupParent);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A step on the tree; `script` is for its shell. */
  step(script: string, changes: Partial<Step> = {}): Step {
    const id = randomBytes(32).toString('hex');
    const [upper, work] = ['upper', 'work'].map((name) => join(this.directory, 'w', id, name)) as [string, string];
    for (const path of [upper, work]) mkdirSync(path, { recursive: true });
    return {
      id,
      lowers: this.lowers(this.tree),
      upper,
      work,
      argv: ['/bin/sh', '-c', script],
      environment: ['PATH=/bin'],
      cwd: '/',
      user: '',
      network: 'none',
      security: 'sandbox',
      devices: [],
      mounts: [],
      settings: plainRunSettings,
      ...changes,
    };
  }

  /** Topmost first. */
  lowers(...directories: readonly string[]): Step['lowers'] {
    const { base } = this.layers.mountOrder([]);
    return { base, lowers: directories.map((directory) => relative(base, directory)) };
  }

  async run(script: string, changes: Partial<Step> = {}, signal = new AbortController().signal): Promise<RanStep> {
    const step = this.step(script, changes);
    const pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    const end = await this.steps.run(step, (stream, bytes) => pieces[stream].push(Buffer.from(bytes)), signal);
    const [stdout, stderr] = [Buffer.concat(pieces.stdout).toString(), Buffer.concat(pieces.stderr).toString()];
    return { ...end, stdout, stderr, upper: step.upper, written: filesBelow(step.upper) };
  }

  /** The tree in the layer store. */
  async imageTree(lease: Lease): Promise<Tree> {
    const tar = execFileSync('tar', ['-C', this.tree, '--numeric-owner', '-cf', '-', '.'], { maxBuffer: 1 << 26 });
    const { digest } = await this.blobs.write([tar], { lease });
    const diffId = digest as string as DiffId;
    return treeOf(await this.layers.unpack([{ blob: digest, diffId, chainId: diffId as string as ChainId }]));
  }

  /** What is left of steps: directories, entries of the runtime, cgroups. */
  leftovers(): readonly string[] {
    const cgroups = cgroupPlacement(`${this.cgroupParent}/build`).directories.filter(existsSync);
    return [
      ...namesIn(this.stepsDirectory),
      ...namesIn(join(this.directory, 'run/c')),
      ...namesIn(join(this.directory, 'run/m')),
      ...cgroups,
    ];
  }
}

function namesIn(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

export function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)) + (entry.isDirectory() ? '/' : ''))
    .sort();
}
