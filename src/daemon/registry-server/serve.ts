/**
 * `gantry registry serve`, top to bottom: options → log → root (held) → files → registry → access → addresses → `ready` → a signal → requests finish → everything closes.
 * SIGHUP reads the configuration and every file it names again; what is wrong changes nothing.
 */
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import type { Digest } from '../../base/brand.ts';
import { errorText, invalid } from '../../base/errors.ts';
import { PasswordCheck } from '../../registry/access/password-check.ts';
import { RegistryAccess } from '../../registry/access/registry-access.ts';
import { openTokenKeys, type TokenKeys } from '../../registry/access/signing-keys.ts';
import type { ListenAddress } from '../../registry/configuration/registry-configuration.ts';
import { registryServerOptions, registrySilenceMs } from '../../registry/http/registry-server.ts';
import { AuditLog } from '../../registry/operation/audit-log.ts';
import { HealthChecks, writableFolder } from '../../registry/operation/health.ts';
import { type FrontSettings, RegistryFront } from '../../registry/operation/registry-front.ts';
import { RegistryMetrics } from '../../registry/operation/registry-metrics.ts';
import { currentTurn } from '../../registry/operation/request-turn.ts';
import { createRegistryPage } from '../../registry/page/registry-page.ts';
import { Webhooks } from '../../registry/policy/webhooks.ts';
import { createDaemonLog, type ReloadableLogger } from '../daemon-log.ts';
import { serviceNotifier } from '../service-notify.ts';
import { watchDefects } from '../watch-defects.ts';
import { serveControl } from './control-socket.ts';
import { type OpenRegistry, openRegistry } from './open-registry.ts';
import { type RegistryMaterial, readMaterial } from './registry-material.ts';
import { openRegistryRoot } from './registry-root.ts';
import { RegistryWork, repeatWork, tokenKeysFolder } from './registry-work.ts';
import type { ServeOptions } from './serve-options.ts';
import type { SharedBlobs } from './shared-garbage.ts';

/** How long requests may take to finish when the server stops; a second signal cuts them. Uploads go on at the next start where they were. */
const drainMs = 30_000;

export async function serveRegistry(readOptions: () => ServeOptions, environment: NodeJS.ProcessEnv): Promise<void> {
  const options = readOptions();
  const logger = createDaemonLog({ logLevel: options.log.level, logFormat: options.log.format });
  watchDefects(logger, 'the registry ends');
  const stop = new StopSignals();
  await using cleanup = new AsyncDisposableStack();
  const material = await readMaterial(options);
  const root = openRegistryRoot(options.root);
  cleanup.use(root);
  const server = await RunningRegistry.open({ ...options, root: root.path }, material, logger);
  cleanup.defer(() => server.close());
  const addresses = await server.listen();
  process.stdout.write(`ready ${addresses.join(' ')}\n`);
  const notify = serviceNotifier(environment, logger);
  notify('READY=1');
  logger.info({ root: root.path, addresses, users: material.users.size, readOnly: options.readOnly }, 'the registry is ready');
  process.on('SIGHUP', () => void server.reload(readOptions));
  const signal = await stop.first;
  notify('STOPPING=1');
  logger.info({ signal }, 'stopping');
  await server.drain(stop.second);
}

/** What counts at once after a reload; the rest waits for a restart. */
const restartKeys = ['listen', 'root', 'upstreams', 'cache'] as const satisfies readonly (keyof ServeOptions)[];

export class RunningRegistry {
  #options: ServeOptions;
  #tls: SecureContextOptions | null;
  #keys: TokenKeys;
  #audit: AuditLog | null = null;
  #reloading: Promise<void> = Promise.resolve();
  readonly #logger: ReloadableLogger;
  readonly #opened: OpenRegistry;
  readonly #passwords: PasswordCheck;
  readonly #access: RegistryAccess;
  readonly #webhooks: Webhooks;
  readonly #metrics = new RegistryMetrics();
  readonly #front: RegistryFront;
  readonly #work: RegistryWork;
  readonly #servers: Server[] = [];
  readonly #cleanup = new AsyncDisposableStack();
  readonly #closing = new AbortController();

  private constructor(
    options: ServeOptions,
    material: RegistryMaterial,
    opened: OpenRegistry,
    keys: TokenKeys,
    logger: ReloadableLogger,
    shared: SharedBlobs | null,
  ) {
    this.#options = options;
    this.#tls = material.tls;
    this.#keys = keys;
    this.#opened = opened;
    this.#logger = logger;
    this.#passwords = new PasswordCheck(material.users);
    this.#access = new RegistryAccess(this.#accessParts(), {
      isOwnName: (name) => shared?.isMountName(name) ?? false,
      onIdentified(user) {
        const turn = currentTurn();
        if (turn !== null) turn.user = user;
      },
      onWrong: (reason, address) => logger.info({ address, reason }, 'authentication failed'),
    });
    this.#webhooks = new Webhooks({
      directory: `${options.root}/webhooks`,
      url: options.url,
      logger,
      onOutcome: (webhook, outcome) => this.#metrics.webhooks.add({ webhook, outcome }),
    });
    const { registry, view } = opened;
    this.#front = new RegistryFront({
      registry,
      access: this.#access,
      page: (access) => createRegistryPage({ registry: view, access, hasUsers: options.access.htpasswd !== null }),
      metrics: this.#metrics,
      metricsText: () => this.#metrics.text(registry.stats(), this.#webhooks.waiting()),
      health: new HealthChecks([writableFolder(options.root), ...opened.checks], logger),
      audit: () => this.#audit,
      logger,
      settings: () => this.#settings,
    });
    this.#work = new RegistryWork({
      opened,
      root: options.root,
      options: () => this.#options,
      logger,
      metrics: this.#metrics,
      onKeys: (rotated) => this.#useKeys(rotated),
    });
  }

  static async open(
    options: ServeOptions,
    material: RegistryMaterial,
    logger: ReloadableLogger,
    shared: SharedBlobs | null = null,
  ): Promise<RunningRegistry> {
    let current = (): ServeOptions => options;
    const opened = await openRegistry(options.root, () => current(), logger, shared);
    const keys = await openTokenKeys(tokenKeysFolder(options.root));
    const running = new RunningRegistry(options, material, opened, keys, logger, shared);
    current = () => running.#options;
    try {
      await running.#begin(material);
    } catch (thrown) {
      await running.close();
      throw thrown;
    }
    return running;
  }

  async #begin(material: RegistryMaterial): Promise<void> {
    const { options, cleanup } = { options: this.#options, cleanup: this.#cleanup };
    cleanup.defer(() => this.#opened.close());
    cleanup.defer(() => this.#passwords.close());
    cleanup.defer(() => this.#audit?.close());
    cleanup.defer(() => this.#work.settled());
    if (options.audit !== null) this.#audit = await AuditLog.open(options.audit.path, this.#logger);
    await this.#webhooks.replace(material.webhooks);
    cleanup.defer(() => this.#webhooks.close());
    cleanup.defer(
      this.#opened.registry.onEvent((event) => {
        this.#front.onEvent(event);
        this.#webhooks.onEvent(event);
      }),
    );
    cleanup.use(await serveControl(options.root, this.#work));
    const { signal } = this.#closing;
    const collect = () => this.#work.run('gc', false, () => {}, signal);
    cleanup.use(repeatWork(() => this.#options.garbageCollection.intervalMs, collect, 'garbage collection', this.#logger));
    const retain = () => this.#work.run('retention', false, () => {}, signal);
    const retentionInterval = () => (this.#options.retention.rules.length === 0 ? null : this.#options.retention.intervalMs);
    cleanup.use(repeatWork(retentionInterval, retain, 'retention', this.#logger));
    cleanup.defer(() => this.#closing.abort(new Error('the registry ends')));
  }

  needsBlob(digest: Digest): boolean {
    return this.#opened.registry.needsBlob(digest);
  }

  /** Where it listens, as clients name it. */
  async listen(): Promise<readonly string[]> {
    const scheme = this.#tls === null ? 'http' : 'https';
    const addresses: string[] = [];
    for (const address of this.#options.listen) {
      const server = this.#makeServer();
      addresses.push(`${scheme}://${await listenOn(server, address)}`);
      this.#servers.push(server);
    }
    const { metrics } = this.#options;
    if (metrics.listen !== null) {
      const server = createHttpServer((request, response) => this.#front.serveMetrics(request, response));
      addresses.push(`http://${await listenOn(server, metrics.listen)}/metrics`);
      this.#servers.push(server);
    }
    return addresses;
  }

  /** One after the other; errors are told and change nothing. */
  reload(readOptions: () => ServeOptions): Promise<void> {
    this.#reloading = this.#reloading.then(async () => {
      try {
        await this.#reloadNow(readOptions());
      } catch (error) {
        this.#logger.error({ error: errorText(error) }, 'the configuration could not be read again: nothing was changed');
      }
    });
    return this.#reloading;
  }

  async #reloadNow(read: ServeOptions): Promise<void> {
    const before = this.#options;
    const material = await readMaterial(read);
    if ((material.tls === null) !== (this.#tls === null) || (material.tls?.ca === undefined) !== (this.#tls?.ca === undefined))
      throw invalid('TLS, and asking clients for certificates, is switched on and off by a restart');
    if ((read.access.htpasswd === null) !== (before.access.htpasswd === null))
      throw invalid('passwords are switched on and off by a restart');
    await this.#reopenAudit(read.audit?.path ?? null);
    await this.#webhooks.replace(material.webhooks);
    // From here on nothing fails: old and new are never mixed.
    this.#options = { ...read, listen: before.listen, root: before.root, upstreams: before.upstreams, cache: before.cache };
    this.#tls = material.tls;
    this.#passwords.replaceUsers(material.users);
    this.#access.replace(this.#accessParts());
    if (material.tls !== null)
      for (const server of this.#servers) if ('setSecureContext' in server) (server as HttpsServer).setSecureContext(material.tls);
    this.#logger.level = read.log.level;
    const waiting = [
      ...restartKeys.filter((key) => key !== 'root' && JSON.stringify(read[key]) !== JSON.stringify(before[key])),
      ...(read.metrics.listen === before.metrics.listen || JSON.stringify(read.metrics.listen) === JSON.stringify(before.metrics.listen)
        ? []
        : ['metrics.listen']),
      ...(read.limits.maxBlobSize === before.limits.maxBlobSize ? [] : ['limits.maxBlobSize']),
      ...(read.garbageCollection.graceMs === before.garbageCollection.graceMs ? [] : ['garbageCollection.grace']),
    ];
    this.#logger.info({ users: material.users.size }, 'the configuration was read again');
    if (waiting.length > 0) this.#logger.warn({ keys: waiting }, 'these changes of the configuration wait for a restart of the registry');
  }

  async #reopenAudit(path: string | null): Promise<void> {
    const before = this.#audit;
    if (path === null) {
      this.#audit = null;
      await before?.close();
    } else if (before === null) this.#audit = await AuditLog.open(path, this.#logger);
    else await before.reopen(path);
  }

  /** Requests finish, or are cut when `now` resolves. */
  async drain(now: Promise<unknown>): Promise<void> {
    const closed = Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
    // A connection that a request kept busy would wait for the next one.
    const idle = setInterval(() => {
      for (const server of this.#servers) server.closeIdleConnections();
    }, 50);
    await Promise.race([closed, now, delay(drainMs, undefined, { ref: false })]);
    clearInterval(idle);
    for (const server of this.#servers) server.closeAllConnections();
    await closed;
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    await this.#reloading;
    await this.#cleanup.disposeAsync();
  }

  get #settings(): FrontSettings {
    const { trustedProxies, limits, readOnly, metrics } = this.#options;
    return {
      trustedProxies,
      perAddress: limits.perAddress,
      maxConcurrentUploads: limits.maxConcurrentUploads,
      readOnly: readOnly ? 'this registry is read-only: nothing can be pushed or deleted' : null,
      metrics: metrics.listen !== null ? 'elsewhere' : metrics.anonymous ? 'anybody' : 'users',
    };
  }

  #accessParts() {
    const { access, url, limits } = this.#options;
    return { configuration: access, passwords: this.#passwords, keys: this.#keys, url, perUser: limits.perUser };
  }

  #useKeys(keys: TokenKeys): void {
    this.#keys = keys;
    this.#access.replace(this.#accessParts());
    this.#logger.info({ key: keys.signing.id }, 'tokens are signed with a new key');
  }

  #makeServer(): Server {
    const listener: Parameters<typeof createHttpServer>[1] = (request, response) => this.#front.serve(request, response);
    const server =
      this.#tls === null
        ? createHttpServer(registryServerOptions, listener)
        : (createHttpsServer(
            {
              ...registryServerOptions,
              ...this.#tls,
              requestCert: this.#tls.ca !== undefined,
              rejectUnauthorized: this.#tls.ca !== undefined,
            },
            listener,
          ) as unknown as Server);
    server.timeout = registrySilenceMs;
    return server;
  }
}

/** First and second request to stop. */
class StopSignals {
  readonly #first = Promise.withResolvers<NodeJS.Signals>();
  readonly #second = Promise.withResolvers<void>();

  constructor() {
    let count = 0;
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => {
        if (++count === 1) this.#first.resolve(signal);
        else this.#second.resolve();
      });
  }

  get first(): Promise<NodeJS.Signals> {
    return this.#first.promise;
  }

  get second(): Promise<void> {
    return this.#second.promise;
  }
}

/** `host:port` as it became. */
function listenOn(server: Server, { host, port }: ListenAddress): Promise<string> {
  const name = host.includes(':') ? `[${host}]` : host;
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => reject(invalid(`cannot listen on ${name}:${port}: ${cause.message}`, { cause }));
    server.once('error', fail);
    server.listen({ host, port }, () => {
      server.off('error', fail);
      const bound = server.address();
      resolve(`${name}:${bound !== null && typeof bound === 'object' ? bound.port : port}`);
    });
  });
}
