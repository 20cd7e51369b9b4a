/**
 * The registry in the daemon (`--with-registry`): `gantry registry serve` with the daemon's blobs.
 *
 *     <data-root>/blobs           the daemon's and the registry's; each asks the other before a file goes
 *     <data-root>/registry/       the registry's records, uploads and keys
 *
 * What is pushed to it from this daemon is there already. The push tells the registry so: it asks for a mount from a name that only this process can make, one for each blob (`OwnMounts`), and
 * gets a link. Everybody else uploads, and sees of the daemon's blobs nothing (SECURITY.md row 26).
 *
 * Without `--with-registry` what was pushed before stays: its records are opened, so that the sweep of the daemon leaves its blobs. Whoever wants to be rid of it removes the folder.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../base/brand.ts';
import { EngineError, invalid } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { OwnRegistry } from '../../images/push.ts';
import type { WithRegistry } from '../with-registry-options.ts';
import { openRegistry } from './open-registry.ts';
import { readMaterial } from './registry-material.ts';
import { openRegistryRoot } from './registry-root.ts';
import { RunningRegistry } from './serve.ts';
import { readDaemonRegistryOptions, type ServeOptions } from './serve-options.ts';
import type { SharedBlobs } from './shared-garbage.ts';

export interface DaemonRegistry {
  /** Null: it is kept, but not served. */
  readonly own: OwnRegistry | null;
  /** Of its own configuration file. */
  reload(): void;
  close(): Promise<void>;
}

const folder = 'registry';

/** Null: there is none. Before the first sweep of the images. */
export async function openDaemonRegistry(
  wanted: WithRegistry | null,
  dataRoot: string,
  store: ImageStore,
  logger: Logger,
): Promise<DaemonRegistry | null> {
  const root = join(dataRoot, folder);
  if (wanted === null && !existsSync(join(root, 'registry.db'))) return null;
  await using cleanup = new AsyncDisposableStack();
  const lock = cleanup.use(openRegistryRoot(root));
  const mounts = new OwnMounts();
  const shared = sharedBlobs(store, mounts);
  if (wanted === null) return await keepUnserved(lock.path, store, shared, logger, cleanup);
  const read = (): ServeOptions => readDaemonRegistryOptions(wanted.configFile, wanted.listen, lock.path);
  const options = read();
  const server = await RunningRegistry.open(options, await readMaterial(options), leveled(logger), shared);
  cleanup.defer(() => server.close());
  cleanup.defer(store.sweeper.addOwner({ name: 'the registry of this daemon', holds: (digest) => server.needsBlob(digest) }));
  const addresses = await server.listen().catch((cause: unknown) => {
    throw cause instanceof EngineError
      ? invalid(`the registry of this daemon: ${cause.message}. Give another address: --with-registry=HOST:PORT`, { cause })
      : cause;
  });
  logger.info({ addresses, root: lock.path }, 'the registry of this daemon is ready');
  const domains = new Set(addresses.flatMap(domainsOf));
  const opened = cleanup.move();
  return {
    own: { is: (domain) => domains.has(domain), mountName: (digest) => mounts.nameOf(digest) },
    reload: () => void server.reload(read),
    close: () => opened.disposeAsync(),
  };
}

async function keepUnserved(
  root: string,
  store: ImageStore,
  shared: SharedBlobs,
  logger: Logger,
  cleanup: AsyncDisposableStack,
): Promise<DaemonRegistry> {
  const options = readDaemonRegistryOptions(null, null, root);
  const { registry, close } = await openRegistry(root, () => options, logger, shared);
  cleanup.defer(close);
  cleanup.defer(store.sweeper.addOwner({ name: 'the registry of this daemon', holds: (digest) => registry.needsBlob(digest) }));
  const opened = cleanup.move();
  return { own: null, reload() {}, close: () => opened.disposeAsync() };
}

/** The level of the log is the daemon's; what the registry's file says of it is for a server alone. */
function leveled(logger: Logger) {
  return {
    level: 'info',
    debug: (...said: Parameters<Logger['debug']>) => logger.debug(...said),
    info: (...said: Parameters<Logger['info']>) => logger.info(...said),
    warn: (...said: Parameters<Logger['warn']>) => logger.warn(...said),
    error: (...said: Parameters<Logger['error']>) => logger.error(...said),
  };
}

function sharedBlobs({ blobs, leases, records, sweeper }: ImageStore, mounts: OwnMounts): SharedBlobs {
  return {
    blobs,
    leases,
    isMountName: (name) => mounts.isName(name),
    mountElsewhere: (from, digest) => {
      if (!mounts.isName(from)) return undefined;
      return mounts.opens(from, digest) && blobs.has(digest) ? blobs.sizeBytes(digest) : null;
    },
    needed: () => records.inUse().blobs,
    sweep: () => sweeper.sweep(),
  };
}

/** `http://127.0.0.1:5000` → `127.0.0.1:5000`, `localhost:5000`: as references name it. */
function domainsOf(address: string): readonly string[] {
  const { hostname, host, port, protocol } = new URL(address);
  const withPort = (name: string) => `${name}:${port || (protocol === 'https:' ? 443 : 80)}`;
  const everywhere = hostname === '0.0.0.0' || hostname === '[::]';
  const local = everywhere || hostname === '127.0.0.1' || hostname === '[::1]' || hostname === 'localhost';
  return [host, ...(local ? [withPort('localhost')] : []), ...(everywhere ? [withPort('127.0.0.1')] : [])];
}

const mountName = /^gantry-own-([0-9a-f]{64})$/;

/** Names that let one blob be mounted, and that only this process can make. They go over a connection of this machine; one that is seen there opens nothing but what was being pushed. */
class OwnMounts {
  readonly #key = randomBytes(32);

  nameOf(digest: Digest): string {
    return `gantry-own-${this.#code(digest).toString('hex')}`;
  }

  isName(text: string): boolean {
    return mountName.test(text);
  }

  opens(name: string, digest: Digest): boolean {
    const code = Buffer.from(mountName.exec(name)?.[1] ?? '', 'hex');
    return code.length === 32 && timingSafeEqual(code, this.#code(digest));
  }

  #code(digest: Digest): Buffer {
    return createHmac('sha256', this.#key).update(digest).digest();
  }
}
