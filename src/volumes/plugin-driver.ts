/** Volumes of a plugin: Docker's `VolumeDriver` methods. The plugin owns its volumes; we keep labels and options beside them. */
import { isAbsolute } from 'node:path';
import { EngineError } from '../base/errors.ts';
import { callPlugin, isRefusal, type PluginAddress, type PluginReply } from './plugin-client.ts';
import type { DriverFacts, VolumeDriver } from './volume-driver.ts';
import type { VolumeRecord } from './volume-records.ts';

/** As Docker's. A mount may wait for a network. */
const SHORT_MS = 60_000;
const LONG_MS = 120_000;

export class PluginDriver implements VolumeDriver {
  readonly name: string;
  readonly scope: 'local' | 'global';
  readonly #address: PluginAddress;

  private constructor(address: PluginAddress, scope: 'local' | 'global') {
    this.#address = address;
    this.name = address.name;
    this.scope = scope;
  }

  /** Null: it is a plugin, but not for volumes. */
  static async activate(address: PluginAddress, timeoutMs: number): Promise<PluginDriver | null> {
    const { Implements } = await callPlugin(address, 'Plugin.Activate', {}, timeoutMs);
    if (!Array.isArray(Implements) || !Implements.includes('VolumeDriver')) return null;
    return new PluginDriver(address, await scopeOf(address, timeoutMs));
  }

  async create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    await this.#call('Create', { Name: name, Opts: options }, LONG_MS);
  }

  async remove(name: string): Promise<void> {
    await this.#call('Remove', { Name: name }, LONG_MS);
  }

  async mount(record: VolumeRecord, id: string): Promise<string> {
    const { Mountpoint } = await this.#call('Mount', { Name: record.name, ID: id }, LONG_MS);
    if (typeof Mountpoint !== 'string' || !isAbsolute(Mountpoint)) {
      throw new EngineError('system', `VolumeDriver.Mount: plugin "${this.name}" gave no absolute path for the volume ${record.name}`);
    }
    return Mountpoint;
  }

  async unmount(record: VolumeRecord, id: string): Promise<void> {
    await this.#call('Unmount', { Name: record.name, ID: id }, LONG_MS);
  }

  async facts(name: string, timeoutMs = SHORT_MS): Promise<DriverFacts | null> {
    try {
      const { Volume } = await this.#call('Get', { Name: name }, timeoutMs);
      return isObject(Volume) && Volume.Name === name ? factsOf(Volume) : null;
    } catch (thrown) {
      if (isRefusal(thrown)) return null;
      throw thrown;
    }
  }

  async list(timeoutMs = SHORT_MS): Promise<readonly { readonly name: string; readonly facts: DriverFacts }[]> {
    const { Volumes } = await this.#call('List', {}, timeoutMs);
    return (Array.isArray(Volumes) ? Volumes : []).flatMap((volume: unknown) =>
      isObject(volume) && typeof volume.Name === 'string' ? [{ name: volume.Name, facts: factsOf(volume) }] : [],
    );
  }

  #call(method: string, body: unknown, timeoutMs: number): Promise<PluginReply> {
    return callPlugin(this.#address, `VolumeDriver.${method}`, body, timeoutMs);
  }
}

/** Plugins from before the method say nothing: local. */
async function scopeOf(address: PluginAddress, timeoutMs: number): Promise<'local' | 'global'> {
  try {
    const { Capabilities } = await callPlugin(address, 'VolumeDriver.Capabilities', {}, timeoutMs);
    return isObject(Capabilities) && String(Capabilities.Scope).toLowerCase() === 'global' ? 'global' : 'local';
  } catch (thrown) {
    if (thrown instanceof EngineError && thrown.code === 'unavailable') throw thrown;
    return 'local';
  }
}

function factsOf(volume: PluginReply): DriverFacts {
  const created = typeof volume.CreatedAt === 'string' ? new Date(volume.CreatedAt) : null;
  return {
    mountpoint: typeof volume.Mountpoint === 'string' ? volume.Mountpoint : '',
    status: isObject(volume.Status) ? volume.Status : null,
    createdAt: created === null || Number.isNaN(created.getTime()) ? null : created,
  };
}

function isObject(value: unknown): value is PluginReply {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
