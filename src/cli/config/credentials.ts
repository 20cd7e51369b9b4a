/** What to show a registry: from the configuration file, or from the credential helper that it names. */
import { execFile } from 'node:child_process';
import type { RegistryCredentials } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import type { DockerConfig } from './docker-config.ts';

export const HUB_KEY = 'https://index.docker.io/v1/';

/** Docker's Hub is known by an address of its own. */
export function registryKey(domain: string): string {
  return domain === 'docker.io' || domain === 'index.docker.io' || domain === '' ? HUB_KEY : domain;
}

export async function credentialsFor(config: DockerConfig, domain: string): Promise<RegistryCredentials> {
  const key = registryKey(domain);
  const helper = config.file.credHelpers?.[key] ?? config.file.credsStore;
  if (helper !== undefined && helper !== '') return fromHelper(helper, key);
  const entry = config.file.auths?.[key] ?? config.file.auths?.[`https://${key}`] ?? config.file.auths?.[`http://${key}`];
  if (entry === undefined) return {};
  const [username, password] = decodeAuth(entry.auth);
  return {
    ...(username === undefined ? {} : { username, password: password ?? '' }),
    ...(entry.identitytoken === undefined ? {} : { identitytoken: entry.identitytoken }),
    ...(entry.registrytoken === undefined ? {} : { registrytoken: entry.registrytoken }),
    serveraddress: key,
  };
}

function decodeAuth(auth: string | undefined): [string?, string?] {
  if (auth === undefined || auth === '') return [];
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  return colon === -1 ? [] : [text.slice(0, colon), text.slice(colon + 1)];
}

interface HelperAnswer {
  readonly Username?: string;
  readonly Secret?: string;
}

/** The protocol of docker-credential-helpers: the server on stdin, JSON on stdout. */
function fromHelper(helper: string, server: string): Promise<RegistryCredentials> {
  return new Promise((resolve, reject) => {
    const child = execFile(`docker-credential-${helper}`, ['get'], { maxBuffer: 1024 * 1024 }, (error, stdout) => {
      if (error !== null && 'code' in error && error.code === 'ENOENT') {
        reject(new CliError(`the credential helper docker-credential-${helper} named in the configuration is not installed`));
      } else if (error !== null) resolve({});
      else resolve(toCredentials(JSON.parse(stdout) as HelperAnswer, server));
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(server);
  });
}

function toCredentials(answer: HelperAnswer, server: string): RegistryCredentials {
  if (answer.Username === '<token>') return { identitytoken: answer.Secret ?? '', serveraddress: server };
  return { username: answer.Username ?? '', password: answer.Secret ?? '', serveraddress: server };
}
