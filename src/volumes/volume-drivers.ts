/** The drivers by name: `local`, and plugins, which are looked for again whenever one is asked for that is not known: they come and go with their sockets. */
import { EngineError, errorText, notFound } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { LocalDriver } from './local-driver.ts';
import { findPlugin, listPlugins, type PluginDirectories } from './plugin-discovery.ts';
import { PluginDriver } from './plugin-driver.ts';

/** One that does not answer must not hold up `volume ls` and look-ups for long. */
const ACTIVATION_MS = 10_000;

export class VolumeDrivers {
  readonly local: LocalDriver;
  readonly #directories: PluginDirectories;
  readonly #logger: Logger;
  readonly #active = new Map<string, PluginDriver>();

  constructor(local: LocalDriver, directories: PluginDirectories, logger: Logger) {
    this.local = local;
    this.#directories = directories;
    this.#logger = logger;
  }

  get names(): readonly string[] {
    return ['local', ...[...this.#active.keys()].sort()];
  }

  /** Docker's words; what a plugin that is there did wrong comes behind them. */
  async plugin(name: string): Promise<PluginDriver> {
    const known = this.#active.get(name);
    if (known !== undefined) return known;
    const lookup = `error looking up volume plugin ${name}`;
    const driver = await this.#activate(name).catch((cause) => {
      throw new EngineError('unavailable', `${lookup}: ${errorText(cause)}`, { cause });
    });
    if (driver === null) throw notFound(`${lookup}: plugin ${JSON.stringify(name)} not found`);
    return driver;
  }

  async get(name: string): Promise<LocalDriver | PluginDriver> {
    return name === 'local' ? this.local : await this.plugin(name);
  }

  /** All that are there now. `warnings`: those that don't answer. */
  async plugins(): Promise<{ readonly drivers: readonly PluginDriver[]; readonly warnings: readonly string[] }> {
    const drivers: PluginDriver[] = [];
    const warnings: string[] = [];
    const names = await listPlugins(this.#directories);
    for (const gone of [...this.#active.keys()].filter((name) => !names.includes(name))) this.#active.delete(gone);
    await Promise.all(
      names.map(async (name) => {
        try {
          const driver = this.#active.get(name) ?? (await this.#activate(name));
          if (driver !== null) drivers.push(driver);
        } catch (thrown) {
          this.#logger.warn({ plugin: name, error: errorText(thrown) }, 'volume plugin does not answer');
          warnings.push(`error looking up volume plugin ${name}: ${errorText(thrown)}`);
        }
      }),
    );
    return { drivers: drivers.sort((a, b) => (a.name < b.name ? -1 : 1)), warnings };
  }

  async #activate(name: string): Promise<PluginDriver | null> {
    const address = await findPlugin(this.#directories, name);
    const driver = address === null ? null : await PluginDriver.activate(address, ACTIVATION_MS);
    if (driver !== null) this.#active.set(name, driver);
    return driver;
  }
}
