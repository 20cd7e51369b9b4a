/** `--secret`: what RUN may mount. Read when the build asks for it; that it is there is seen before anything is sent. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { CliError } from '../../cli-error.ts';
import { fileErrorText } from '../../file-error.ts';
import { KeyValueFields } from './key-value-fields.ts';

export type SecretSource =
  | { readonly id: string; readonly kind: 'file'; readonly path: string }
  | { readonly id: string; readonly kind: 'environment'; readonly variable: string };

const MAX_BYTES = 500 * 1024;

type Environment = Readonly<Record<string, string | undefined>>;

/** Without type: what `env` or `src` says; with neither, the variable called as the secret, or else a file called so. */
export function parseSecret(text: string, env: Environment): SecretSource {
  const fields = new KeyValueFields(text);
  const type = fields.choice('type', ['file', 'env']);
  const path = fields.text('src', 'source');
  const variable = fields.text('env');
  const id = fields.text('id');
  fields.finish('a secret');
  if (id === null || id === '' || !text.includes('='))
    throw new Error('a secret needs an id: write id=NAME,src=PATH or id=NAME,env=VARIABLE');
  if (path !== null && variable !== null) throw new Error('a secret comes from src or from env, not from both');
  if (type === 'file' && variable !== null) throw new Error('type=file needs src, not env');
  if (variable !== null) return { id, kind: 'environment', variable };
  if (type === 'env') return { id, kind: 'environment', variable: path ?? id };
  if (path !== null) return { id, kind: 'file', path };
  return type === null && env[id] !== undefined ? { id, kind: 'environment', variable: id } : { id, kind: 'file', path: id };
}

export function checkSecret(secret: SecretSource, env: Environment, cwd: string): void {
  if (secret.kind === 'environment') {
    if (env[secret.variable] === undefined) throw new CliError(`secret ${secret.id}: the environment has no variable ${secret.variable}`);
    return;
  }
  const path = resolve(cwd, secret.path);
  const stats = inspect(secret, () => statSync(path));
  if (!stats.isFile() && !stats.isFIFO()) throw new CliError(`secret ${secret.id}: ${secret.path} is not a file`);
  if (stats.size > MAX_BYTES) throw tooLarge(secret.id, stats.size);
}

export function readSecret(secret: SecretSource, env: Environment, cwd: string): Uint8Array {
  const bytes =
    secret.kind === 'environment'
      ? Buffer.from(env[secret.variable] ?? '')
      : inspect(secret, () => readFileSync(resolve(cwd, (secret as { readonly path: string }).path)));
  if (bytes.length > MAX_BYTES) throw tooLarge(secret.id, bytes.length);
  return bytes;
}

function inspect<T>({ id }: SecretSource, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CliError(`secret ${id}: ${fileErrorText(error)}`, 1, { cause: error });
  }
}

function tooLarge(id: string, size: number): CliError {
  return new CliError(`secret ${id} is too large (${size} bytes): a secret has at most ${MAX_BYTES} bytes`);
}
