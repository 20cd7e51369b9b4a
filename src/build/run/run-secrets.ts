/** Secrets of a RUN: asked of the client, once each, and handed to nothing but its mounts, its environment and what masks its output. */
import { invalid } from '../../base/errors.ts';
import type { BuildClient } from '../build-client.ts';
import type { RunMount } from '../plan/operation.ts';
import type { StepMount } from './step-executor.ts';

type SecretMount = RunMount & { readonly type: 'secret' };

export interface RunSecrets {
  readonly mounts: readonly StepMount[];
  readonly environment: readonly string[];
  /** What the output must not show. */
  readonly values: readonly Uint8Array[];
}

/** BuildKit's limit. */
const maxSecretBytes = 500_000;
/** A file of two letters is no secret, and would mask half of the output. */
const shortestMaskedFile = 4;

export async function runSecrets(mounts: readonly RunMount[], client: BuildClient, signal: AbortSignal): Promise<RunSecrets> {
  const wanted = mounts.filter((mount): mount is SecretMount => mount.type === 'secret');
  const contents = new Map<string, Uint8Array | null>();
  for (const { id, required } of wanted) {
    if (!contents.has(id)) contents.set(id, await client.secret(id, signal));
    const content = contents.get(id) ?? null;
    if (content === null && required)
      throw invalid(`secret ${id}: not found: give it with --secret id=${id},src=FILE or id=${id},env=NAME`);
    if (content !== null && content.length > maxSecretBytes)
      throw invalid(`secret ${id} has ${content.length} bytes: at most ${maxSecretBytes} can be given to a step`);
  }
  const given = wanted.flatMap((mount) => {
    const content = contents.get(mount.id) ?? null;
    return content === null ? [] : [{ mount, content }];
  });
  return {
    mounts: given.flatMap(({ mount: { target, mode, uid, gid }, content }) =>
      target === null ? [] : [{ kind: 'secret' as const, target, content, mode, uid, gid }],
    ),
    environment: given.flatMap(({ mount, content }) => (mount.variable === null ? [] : [variable(mount.id, mount.variable, content)])),
    values: given.flatMap(({ mount, content }) => {
      const shown = withoutLineEnd(content);
      return mount.variable === null && shown.length < shortestMaskedFile ? [] : [shown];
    }),
  };
}

function variable(id: string, name: string, content: Uint8Array): string {
  if (content.includes(0))
    throw invalid(`secret ${id} holds a NUL byte: it cannot be the environment variable ${name}, only a file (target=PATH)`);
  return `${name}=${Buffer.from(content).toString()}`;
}

/** Programs print a value without the line end that its file has. */
function withoutLineEnd(content: Uint8Array): Uint8Array {
  let end = content.length;
  while (end > 0 && (content[end - 1] === 0x0a || content[end - 1] === 0x0d)) end--;
  return content.subarray(0, end);
}
