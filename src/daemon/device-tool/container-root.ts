/**
 * The container that a hook is run for: the runtime writes the container's state (runtime-spec, runtime.md) to the hook's standard input, which names the bundle, whose
 * config.json names the root and the mounts. What is below the root belongs to the image and the container: it is looked at by openat2 alone (src/linux/path-in-root.ts).
 */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errorText, invalid } from '../../base/errors.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { openRoot } from '../../linux/path-in-root.ts';

export interface BundleMount {
  readonly source: string;
  readonly destination: string;
  readonly type: string;
}

export class ContainerRoot implements Disposable {
  /** O_PATH. */
  readonly root: number;
  readonly path: string;
  readonly mounts: readonly BundleMount[];

  constructor(path: string, mounts: readonly BundleMount[] = []) {
    this.path = path;
    this.root = openRoot(path);
    this.mounts = mounts;
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.root);
  }
}

/** `state`: what stood on standard input. */
export async function containerOfState(state: string): Promise<ContainerRoot> {
  const { bundle } = object(parse(state, 'the state on standard input'), 'the state on standard input');
  if (typeof bundle !== 'string' || !bundle.startsWith('/'))
    throw invalid('the state on standard input names no bundle: is this run as an OCI hook?');
  const file = join(bundle, 'config.json');
  const config = object(parse(await readFile(file, 'utf8'), file), file);
  const { path } = object(config.root ?? null, `${file}: root`);
  if (typeof path !== 'string' || path === '') throw invalid(`${file}: root.path is missing`);
  return new ContainerRoot(resolve(bundle, path), mountsOf(config.mounts));
}

function mountsOf(mounts: unknown): readonly BundleMount[] {
  if (!Array.isArray(mounts)) return [];
  return mounts.flatMap((mount) => {
    const { source, destination, type, options } = object(mount, 'a mount');
    if (typeof source !== 'string' || typeof destination !== 'string') return [];
    const binds = type === 'bind' || (Array.isArray(options) && options.some((option) => option === 'bind' || option === 'rbind'));
    return [{ source, destination, type: binds ? 'bind' : String(type ?? '') }];
  });
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw invalid(`${what} is not JSON: ${errorText(thrown)}`, { cause: thrown });
  }
}

function object(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} is not an object`);
  return value as Readonly<Record<string, unknown>>;
}
