/** A container service over a fake runtime, an in-memory database and one small image, for tests. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { conflict, notFound } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import { noDevices } from '../../devices/create-devices.ts';
import type { Devices } from '../../devices/devices.ts';
import type { Image, ImageCatalogue } from '../../images/catalogue.ts';
import type { ImageRunConfig } from '../../oci/image-config.ts';
import { onlyNative } from '../../runtime/runtime-names.ts';
import type { Database, Statement } from '../../store/database.ts';
import type { OpenLayerStore } from '../../store/layers.ts';
import { migrations } from '../../store/migrations.ts';
import type { ContainerConfig, HostConfig } from '../config.ts';
import { defaultContainerConfig, defaultHostConfig } from '../config-defaults.ts';
import { type ContainerService, createContainers } from '../container-service.ts';
import type { AttachOptions, ContainerEvent, CreateRequest, LogOptions } from '../containers.ts';
import { readHostFacts } from '../host-facts.ts';
import { plainSecurity } from '../security-defaults.ts';
import { FakeNetworks } from './fake-networks.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { FakeVolumes } from './fake-volumes.ts';

export const allStreams: AttachOptions = { stream: true, logs: false, stdin: true, stdout: true, stderr: true, detachKeys: null };

export const allLogs: LogOptions = {
  stdout: true,
  stderr: true,
  follow: false,
  timestamps: false,
  details: false,
  since: null,
  until: null,
  tail: null,
};

export interface Fixture {
  readonly directory: string;
  readonly runtime: FakeRuntime;
  readonly networks: FakeNetworks;
  readonly volumes: FakeVolumes;
  readonly database: MemoryDatabase;
  readonly service: ContainerService;
  readonly events: ContainerEvent[];
  /** Another daemon over the same records and the same processes. */
  restart(): Promise<ContainerService>;
  create(
    config?: Partial<ContainerConfig>,
    hostConfig?: Partial<HostConfig>,
    name?: string,
    endpoints?: CreateRequest['endpoints'],
  ): Promise<string>;
  /** Actions seen so far, without `create`. */
  actions(): string[];
}

export async function serviceFixture(
  context: TestContext,
  image: ImageRunConfig = { Cmd: ['/bin/true'], Env: ['PATH=/bin'] },
  devices: Devices = noDevices,
): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'g-CONT-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, 'layers', 'base', 'etc'), { recursive: true });
  writeFileSync(join(directory, 'layers', 'base', 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/home/app:/bin/sh\n');
  const runtime = new FakeRuntime(join(directory, 'exec'));
  const networks = new FakeNetworks();
  const volumes = new FakeVolumes();
  const database = new MemoryDatabase();
  const open = () =>
    createContainers({
      dataRoot: directory,
      execRoot: join(directory, 'exec'),
      cgroupParent: '/gantry-test',
      database,
      images: fakeImages(image),
      layers: fakeLayers(directory),
      runtime,
      runtimes: onlyNative,
      networks,
      volumes,
      devices,
      daemonDns: { servers: [], search: [], options: [] },
      init: { program: '/gantry-init', byDefault: false },
      host: readHostFacts(),
      security: plainSecurity,
      logger: silentLogger,
    });
  const service = await open();
  const events: ContainerEvent[] = [];
  service.onEvent((event) => events.push(event));
  context.after(() => service.close());
  return {
    directory,
    runtime,
    networks,
    volumes,
    database,
    service,
    events,
    restart: open,
    create: async (config = {}, hostConfig = {}, name, endpoints = {}) => {
      const request = {
        name: name ?? null,
        platform: null,
        config: defaultContainerConfig({ Image: 'box', ...config }),
        hostConfig: defaultHostConfig({ NetworkMode: 'none', ...hostConfig }),
        endpoints,
      };
      return (await service.create(request)).id;
    },
    actions: () => events.map(({ action }) => action).filter((action) => action !== 'create'),
  };
}

function fakeImages(config: ImageRunConfig): ImageCatalogue {
  const image = {
    id: `sha256:${'a'.repeat(64)}`,
    repoTags: ['box:latest'],
    config: { architecture: 'amd64', os: 'linux', config, rootfs: { type: 'layers', diff_ids: [] }, history: [] },
    sizeBytes: 1000,
    layers: [{ diffId: `sha256:${'b'.repeat(64)}`, directory: 'base', sizeBytes: 1000 }],
    parent: null,
  } as unknown as Image;
  const find = (reference: string) => (['box', 'box:latest', image.id].includes(reference) ? image : null);
  const resolve = (reference: string) => {
    const found = find(reference);
    if (found === null) throw notFound(`No such image: ${reference.includes(':') ? reference : `${reference}:latest`}`);
    return found;
  };
  return { find, resolve, list: () => [image] } as unknown as ImageCatalogue;
}

function fakeLayers(directory: string): OpenLayerStore {
  mkdirSync(join(directory, 'layers', 'i', 'etc'), { recursive: true });
  return {
    root: join(directory, 'layers'),
    initLayer: 'i',
    rootAttributes: () => null,
    mountOrder: () => ({ base: join(directory, 'layers'), lowers: ['base'] }),
  } as unknown as OpenLayerStore;
}

/** The real schema and SQL, without the worker thread. */
class MemoryDatabase implements Database {
  readonly #sqlite = new DatabaseSync(':memory:');
  /** Named failpoint: throws for statements it does not like. */
  refuse: (sql: string, params: string) => Error | null = () => null;

  constructor() {
    for (const { sql } of migrations) this.#sqlite.exec(sql);
  }

  async query<T>(sql: string, ...params: readonly unknown[]): Promise<T[]> {
    return this.#sqlite.prepare(sql).all(...(params as string[])) as T[];
  }

  async write(_durability: 'full' | 'normal', statements: readonly Statement[]): Promise<void> {
    await Promise.resolve();
    for (const { sql, params } of statements) {
      const refusal = this.refuse(sql, String(params));
      if (refusal !== null) throw refusal;
      try {
        this.#sqlite.prepare(sql).run(...(params as string[]));
      } catch (error) {
        throw conflict(String(error));
      }
    }
  }

  async close(): Promise<void> {}
}

export async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
