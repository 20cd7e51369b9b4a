/**
 * The daemon's life, top to bottom: options → log → data root (held) → engine → sockets → `ready` → a signal → requests finish → engine closes.
 * Containers are not touched by any of it, unless `--live-restore=false` says so.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type ApiServer, createApiServer } from '../api/api-server.ts';
import { apiRoutes } from '../api/routes.ts';
import { EngineError, errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { capabilitiesOf } from '../linux/constants.ts';
import { exitNow } from '../linux/exit-now.ts';
import { buildName, engineVersion } from './build-facts.ts';
import { createDaemonLog, type ReloadableLogger } from './daemon-log.ts';
import { type DaemonOptions, daemonHelp, readDaemonOptions } from './daemon-options.ts';
import { openDataRoot } from './data-root.ts';
import { createEngine, type Engine } from './engine.ts';
import { type Listener, listenOn, type MakeServer } from './listener.ts';
import { type Reload, reloadOptions } from './reload.ts';
import { serviceNotifier } from './service-notify.ts';
import { warmThreadPool } from './thread-pool.ts';
import { watchDefects } from './watch-defects.ts';

/** How long requests may take to finish when the daemon stops. */
const drainMs = 5000;

/** Resolves with the exit code when the daemon has stopped. What a person can cause (a bad flag, a held data root) is told on stderr, with exit code 1. */
export async function runDaemon(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  try {
    const options = readDaemonOptions(argv, environment);
    if (options === 'help') return print(daemonHelp());
    if (options === 'version') return print(`Gantry ${engineVersion}, build ${buildName}\n`);
    if (options === 'validate') return print('configuration OK\n');
    requireRoot();
    await serveUntilStopped(argv, options, environment);
    return 0;
  } catch (error) {
    const known = error instanceof EngineError;
    process.stderr.write(`gantry daemon: ${known || !(error instanceof Error) ? errorText(error) : (error.stack ?? error.message)}\n`);
    return 1;
  } finally {
    // Whatever still holds the event loop after everything was closed must not hold the process, nor a thread that the kernel does not give back.
    process.once('exit', (code) => exitNow(code));
    setTimeout(() => process.exit(), 2000).unref();
  }
}

async function serveUntilStopped(argv: readonly string[], options: DaemonOptions, environment: NodeJS.ProcessEnv): Promise<void> {
  const logger = createDaemonLog(options);
  watchDefects(logger, 'the daemon ends, containers keep running');
  await warmThreadPool(environment);
  await using cleanup = new AsyncDisposableStack();
  const dataRoot = openDataRoot(options);
  cleanup.defer(() => dataRoot.release());
  const stop = stopSignal();
  const notify = serviceNotifier(environment, logger);
  const engine = await createEngine(options, dataRoot, logger);
  cleanup.defer(() => engine.close());
  const api = createApiServer({ routes: apiRoutes(engine.services), engineVersion, build: buildName, logger });
  engine.services.leaseSockets.serveWith(api);
  const listeners = await listen(api, options, environment, engine.isContainerAddress, cleanup);
  if (options.pidfile !== null) writePidfile(options.pidfile, cleanup);
  process.stdout.write(`ready ${listeners.map(({ address }) => address).join(' ')}\n`);
  notify('READY=1');
  logger.info({ dataRoot: dataRoot.path, execRoot: dataRoot.execRoot, version: engineVersion, build: buildName }, 'the daemon is ready');
  process.on('SIGHUP', () => renewCertificates(listeners, logger));
  const current = reloadOnHangUp((before) => reloadOptions(argv, before, environment), options, engine, logger);
  const signal = await stop;
  notify('STOPPING=1');
  const last = current();
  const keep = last.liveRestore && signal !== machineStops;
  logger.info({ signal }, keep ? 'stopping; containers keep running' : 'stopping, and containers with it');
  await shutDown(api, listeners, engine, keep ? null : last.shutdownTimeoutSeconds);
}

async function listen(
  api: ApiServer,
  options: DaemonOptions,
  environment: NodeJS.ProcessEnv,
  isContainer: (address: string) => boolean,
  cleanup: AsyncDisposableStack,
): Promise<readonly Listener[]> {
  const listeners: Listener[] = [];
  for (const address of options.addresses) {
    const make: MakeServer = (transport) => {
      const server = api.createListener({ transport: transport.kind === 'local' ? transport : { ...transport, isContainer } });
      cleanup.defer(() => void server.close());
      return server;
    };
    listeners.push(...(await listenOn(address, make, options, environment)));
  }
  return listeners;
}

/** `stopSeconds` null: containers run on. */
async function shutDown(api: ApiServer, listeners: readonly Listener[], engine: Engine, stopSeconds: number | null): Promise<void> {
  for (const { server } of listeners) {
    server.close();
    server.closeIdleConnections();
  }
  // Containers first: those who wait for them (`docker run`) still get their answer.
  if (stopSeconds !== null) await engine.stopContainers(stopSeconds);
  await api.drain(drainMs);
  for (const { server } of listeners) server.closeAllConnections();
}

/** The machine goes down: containers are ended as gently as they wish, and start again with the daemon as their restart policies say. */
const machineStops = 'SIGPWR';

/** Options as they are now. */
function reloadOnHangUp(
  readAgain: (before: DaemonOptions) => Reload,
  options: DaemonOptions,
  engine: Engine,
  logger: ReloadableLogger,
): () => DaemonOptions {
  let current = options;
  process.on('SIGHUP', () => {
    try {
      const { options: next, applied, needRestart } = readAgain(current);
      current = next;
      logger.level = next.logLevel;
      engine.reloaded(next);
      logger.info({ applied }, 'the configuration was read again');
      if (needRestart.length > 0)
        logger.warn(
          { options: needRestart },
          'these changes of the configuration wait for a restart of the daemon (containers keep running)',
        );
    } catch (error) {
      logger.error({ error: errorText(error) }, 'the configuration could not be read again: nothing was changed');
    }
  });
  return () => current;
}

/** Certificates expire while containers run: a reload takes over what lies in their files now. */
function renewCertificates(listeners: readonly Listener[], logger: Logger): void {
  for (const { address, renew } of listeners) {
    try {
      renew();
    } catch (error) {
      logger.error({ address, error: errorText(error) }, 'the certificate could not be read again: the one of before is shown on');
    }
  }
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', machineStops] as const) process.on(signal, () => resolve(signal));
  });
}

function writePidfile(path: string, cleanup: AsyncDisposableStack): void {
  writeFileSync(path, `${process.pid}\n`);
  cleanup.defer(() => rmSync(path, { force: true }));
}

function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new EngineError('forbidden', 'the daemon needs to run as root: start it with sudo');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
  if (!capabilitiesOf(BigInt(`0x${effective}`)).includes('CAP_SYS_ADMIN'))
    throw new EngineError(
      'forbidden',
      'the daemon is root without CAP_SYS_ADMIN: it can make neither namespaces nor mounts. Where it is in a container or a sandbox, that has to give it this capability',
    );
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
