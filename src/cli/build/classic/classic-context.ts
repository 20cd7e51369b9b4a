/** A build context as the one tar that the classic protocol takes; Dockerfile and ignore file are in it, wherever they came from. */
import { type WritableEntry, writeTar } from '../../../archive/tar-writer.ts';
import type { DockerfileText, LocalFiles } from '../../../client/build-types.ts';
import { CliError } from '../../cli-error.ts';
import type { PreparedContexts } from '../context/prepare-contexts.ts';
import { randomName } from '../random-name.ts';

export interface ClassicContext {
  /** Null: the daemon fetches it itself. */
  readonly tar: AsyncIterable<Uint8Array> | null;
  readonly remote: string | null;
  /** Path of the Dockerfile in the context. */
  readonly dockerfile: string | null;
}

export function classicContext({ context, dockerfile, dockerfilePath, local }: PreparedContexts): ClassicContext {
  if (context.kind === 'git' || context.kind === 'http') {
    if (dockerfile !== null)
      throw new CliError("Docker's classic build takes the Dockerfile of a remote context from there: -f names a path in it");
    return { tar: null, remote: context.url, dockerfile: dockerfilePath };
  }
  const main = context.kind === 'client' ? local.get(context.name) : undefined;
  if (main?.kind === 'tar') {
    if (dockerfile !== null) throw new CliError("Docker's classic build takes the Dockerfile of a tar from there: -f names a path in it");
    return { tar: main.stream, remote: null, dockerfile: dockerfilePath };
  }
  if (dockerfile === null) throw new CliError('there is no Dockerfile');
  // A name that no file of the context has.
  const name = main === undefined ? 'Dockerfile' : `.dockerfile.${randomName(16)}`;
  return { tar: writeTar(entries(main?.files ?? null, dockerfile, name)), remote: null, dockerfile: name };
}

async function* entries(files: LocalFiles | null, dockerfile: DockerfileText, name: string): AsyncGenerator<WritableEntry> {
  for await (const batch of files?.entries() ?? []) {
    for (const file of batch) {
      // Sent below, whatever the ignore file says of it.
      if (file.path === '.dockerignore') continue;
      const { path, type, mode, sizeBytes, modifiedAt, linkTarget, deviceMajor, deviceMinor } = file;
      const entry = { path, type, mode, modifiedAt, linkTarget, deviceMajor, deviceMinor };
      yield files !== null && type === 'file' ? { entry: { ...entry, sizeBytes }, content: files.read(file) } : { entry };
    }
  }
  yield { entry: { type: 'file', path: name, mode: 0o644 }, content: dockerfile.text };
  if (dockerfile.ignoreFile !== null)
    // The daemon looks at it again: so that it sees what was left out, and not the helper file above.
    yield { entry: { type: 'file', path: '.dockerignore', mode: 0o644 }, content: Buffer.from(`${dockerfile.ignoreFile}\n${name}\n`) };
}
