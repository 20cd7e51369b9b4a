/** The files that a configuration names, read and checked: passwords, certificates, secrets. A reload reads all of them before it changes anything. */
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { errorText, invalid } from '../../base/errors.ts';
import { type PasswordFile, parseHtpasswd } from '../../registry/access/htpasswd.ts';
import type { WebhookTarget } from '../../registry/policy/webhooks.ts';
import type { ServeOptions } from './serve-options.ts';

export interface RegistryMaterial {
  readonly users: PasswordFile;
  readonly tls: SecureContextOptions | null;
  readonly webhooks: readonly WebhookTarget[];
}

export async function readMaterial(options: ServeOptions): Promise<RegistryMaterial> {
  const { htpasswd } = options.access;
  return {
    users: htpasswd === null ? new Map() : parseHtpasswd(await readNamed(htpasswd, 'the password file'), htpasswd),
    tls: options.tls === null ? null : await readTls(options.tls),
    webhooks: await Promise.all(
      options.webhooks.map(async (webhook) => ({
        ...webhook,
        secret: webhook.secretFile === null ? null : await readSecret(webhook.secretFile, `the secret of the webhook ${webhook.name}`),
      })),
    ),
  };
}

async function readTls({ certificate, key, clientAuthority }: NonNullable<ServeOptions['tls']>): Promise<SecureContextOptions> {
  const options: SecureContextOptions = {
    cert: await readNamed(certificate, 'the certificate'),
    key: await readNamed(key, 'the key of the certificate'),
    minVersion: 'TLSv1.2',
    ...(clientAuthority === null ? {} : { ca: await readNamed(clientAuthority, 'the authority of clients') }),
  };
  try {
    createSecureContext(options);
  } catch (cause) {
    throw invalid(`cannot use the certificate ${certificate} with the key ${key}: ${errorText(cause)}`, { cause });
  }
  return options;
}

async function readSecret(path: string, what: string): Promise<string> {
  const secret = (await readNamed(path, what)).trim();
  if (secret === '') throw invalid(`${what} is empty: ${path}`);
  return secret;
}

async function readNamed(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw invalid(`cannot read ${what}: ${errorText(cause)}`, { cause });
  }
}
