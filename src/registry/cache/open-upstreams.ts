/** Upstreams as the configuration names them: each with a client and a password of its own. */
import { readFile } from 'node:fs/promises';
import { errorText, invalid } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { createRegistryClient } from '../../distribution/http-registry-client.ts';
import {
  defaultRegistrySettings,
  type RegistryClient,
  type RegistryCredentials,
  type RegistrySettings,
} from '../../distribution/registry-client.ts';
import type { UpstreamConfiguration } from '../configuration/registry-configuration.ts';
import type { UpstreamOptions } from './upstream.ts';

export interface OpenUpstreams {
  readonly upstreams: readonly UpstreamOptions[];
  close(): void;
}

export interface UpstreamSurroundings {
  readonly userAgent: string;
  readonly logger: Logger;
  readonly proxies: RegistrySettings['proxies'];
}

/** Whoever asks us waits meanwhile: one that says nothing for so long is down. */
const stallMs = 30_000;

export async function openUpstreams(
  configured: readonly UpstreamConfiguration[],
  surroundings: UpstreamSurroundings,
): Promise<OpenUpstreams> {
  const clients: RegistryClient[] = [];
  const { userAgent, logger, proxies } = surroundings;
  const upstreams: UpstreamOptions[] = [];
  for (const { prefix, registry, path, insecure, ttlMs, username, passwordFile } of configured) {
    if (registry === null) {
      upstreams.push({ prefix, source: null });
      continue;
    }
    const credentials = username === null || passwordFile === null ? null : await readCredentials(username, passwordFile, registry);
    // One attempt: the cache itself knows when to ask again, and serves what it has meanwhile.
    const settings = { ...defaultRegistrySettings, insecure: insecure ? [registry] : [], proxies, maxAttempts: 1, stallMs };
    const client = createRegistryClient(settings, { userAgent, logger });
    clients.push(client);
    upstreams.push({ prefix, source: { registry, path, ttlMs, client, credentials } });
  }
  return {
    upstreams,
    close() {
      for (const client of clients) client.close();
    },
  };
}

async function readCredentials(username: string, path: string, registry: string): Promise<RegistryCredentials> {
  try {
    return { kind: 'basic', username, password: (await readFile(path, 'utf8')).replace(/\r?\n$/, '') };
  } catch (cause) {
    throw invalid(`cannot read the password of ${username} for the upstream ${registry}: ${errorText(cause)}`, { cause });
  }
}
