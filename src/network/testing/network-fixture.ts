/** A network service over a real database and a fake worker, in a folder that goes with the test. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { ContainerId } from '../../base/brand.ts';
import type { Logger } from '../../base/log.ts';
import { openDatabase } from '../../store/database.ts';
import { noEndpointSettings } from '../endpoint-settings.ts';
import { createNetworks } from '../network-service.ts';
import type { NetworkService } from '../network-service-options.ts';
import { defaultNetworkSettings, type NetworkSettings } from '../network-settings.ts';
import type { EndpointSettings, NetworkCreateRequest, NetworkEvent, RestoredContainer, SandboxRequest } from '../networks.ts';
import { FakeHost, FakeNetCalls } from './fake-net-calls.ts';

export interface Daemon {
  readonly networks: NetworkService;
  readonly calls: FakeNetCalls;
  readonly events: NetworkEvent[];
  readonly warnings: string[];
  /** As after a crash: the next one has the same data and machine. */
  restart(options?: Partial<DaemonOptions>): Promise<Daemon>;
}

export interface DaemonOptions {
  readonly settings: Partial<NetworkSettings>;
  readonly running: readonly RestoredContainer[];
  readonly host: FakeHost;
  readonly daemonId: string;
  readonly globalName: string;
  readonly resolvConf: string;
  readonly prepare: (calls: FakeNetCalls) => void;
}

export async function startDaemon(context: TestContext, options: Partial<DaemonOptions> = {}): Promise<Daemon> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-network-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return await startIn(context, folder, options);
}

async function startIn(context: TestContext, folder: string, options: Partial<DaemonOptions>): Promise<Daemon> {
  const database = await openDatabase(join(folder, 'gantry.db'));
  context.after(() => database.close());
  const resolvConf = join(folder, 'resolv.conf');
  await writeFile(resolvConf, options.resolvConf ?? 'nameserver 192.0.2.53\n');
  const host = options.host ?? new FakeHost();
  const calls = new FakeNetCalls(host);
  options.prepare?.(calls);
  const warnings: string[] = [];
  const note = (_fields: unknown, message: string) => void warnings.push(message);
  const logger: Logger = { debug() {}, info() {}, warn: note, error: note };
  const networks = await createNetworks({
    database,
    calls,
    settings: { ...defaultNetworkSettings, ...options.settings },
    daemonId: options.daemonId ?? 'a daemon',
    globalName: options.globalName ?? 'gantry',
    logger,
    resolvConf,
  });
  const events: NetworkEvent[] = [];
  networks.onEvent((event) => events.push(event));
  await networks.restore(options.running ?? []);
  return {
    networks,
    calls,
    events,
    warnings,
    async restart(next = {}) {
      await database.close();
      return await startIn(context, folder, { ...options, host, running: [], ...next });
    },
  };
}

export function containerId(name: string): ContainerId {
  return Buffer.from(name).toString('hex').padEnd(64, '0').slice(0, 64) as ContainerId;
}

export function newNetwork(name: string, change: Partial<NetworkCreateRequest> = {}): NetworkCreateRequest {
  return {
    name,
    driver: '',
    internal: false,
    attachable: false,
    ingress: false,
    configOnly: false,
    configFrom: null,
    scope: '',
    enableIPv4: null,
    enableIPv6: null,
    ipam: { driver: '', options: {}, config: [] },
    options: {},
    labels: {},
    ...change,
  };
}

export function endpoint(network: string, settings: Partial<EndpointSettings> = {}) {
  return { network, settings: { ...noEndpointSettings, ...settings } };
}

export function newSandbox(
  name: string,
  networks: readonly (string | ReturnType<typeof endpoint>)[],
  change: Partial<SandboxRequest> = {},
): SandboxRequest {
  return {
    containerId: containerId(name),
    containerName: name,
    hostname: `${name}-host`,
    domainname: '',
    endpoints: networks.map((network) => (typeof network === 'string' ? endpoint(network) : network)),
    ports: { exposed: [], bindings: {}, publishAll: false },
    dns: { servers: [], search: [], options: [] },
    ...change,
  };
}

export function publishing(bindings: SandboxRequest['ports']['bindings'], change: Partial<SandboxRequest['ports']> = {}) {
  return { ports: { exposed: [], bindings, publishAll: false, ...change } };
}

export async function fails(run: () => Promise<unknown>, code: string, pattern: RegExp): Promise<void> {
  await assert.rejects(run, (error: { readonly code?: string; readonly message: string }) => {
    assert.match(error.message, pattern);
    assert.equal(error.code, code, error.message);
    return true;
  });
}
