/** `gantry registry copy|export|import`: runs without a daemon, with the passwords of whoever calls it. */

import { EngineError, errorText } from '../../base/errors.ts';
import { CredentialStore } from '../../client/credentials/credential-store.ts';
import { configDirectory, DockerConfig } from '../../client/credentials/docker-config.ts';
import { createRegistryClient } from '../../distribution/http-registry-client.ts';
import type { RegistryClient, RegistryCredentials } from '../../distribution/registry-client.ts';
import { isDigest } from '../../oci/digest.ts';
import type { Descriptor } from '../../oci/manifest.ts';
import { familiarReference } from '../../oci/reference.ts';
import { type CopyEvent, ImageCopy } from '../../registry/copy/copy-image.ts';
import type { ImageDestination, ImageSource } from '../../registry/copy/image-place.ts';
import { LayoutPlace } from '../../registry/copy/layout-place.ts';
import { RegistryPlace } from '../../registry/copy/registry-place.ts';
import { engineVersion } from '../build-facts.ts';
import { registryOptions } from '../registry-options.ts';
import type { ToolCommand } from '../tool-command.ts';
import { type CopyPlace, type CopyRequest, type CopyVerb, copyFlags, copyPlaces, readCopyRequest } from './copy-options.ts';
import { CopyProgress } from './copy-progress.ts';

export const copyCommand = command(
  'copy',
  'SOURCE DESTINATION',
  'Copy an image between registries, or to and from a directory, without keeping it on this machine',
);
export const exportCommand = command('export', 'IMAGE DIRECTORY[:TAG]', 'Copy an image of a registry to a directory (OCI image layout)');
export const importCommand = command('import', 'DIRECTORY[:TAG] IMAGE', 'Copy an image of a directory (OCI image layout) to a registry');

function command(verb: CopyVerb, usage: string, summary: string): ToolCommand {
  return {
    name: verb,
    summary,
    usage: `[OPTIONS] ${usage}`,
    flags: copyFlags,
    maxArgs: 2,
    more: copyPlaces,
    run: (flags, env) => runCopy(readCopyRequest(verb, flags), env),
  };
}

async function runCopy(request: CopyRequest, env: NodeJS.ProcessEnv): Promise<number> {
  const { settings } = registryOptions(new Map([['insecure-registry', request.insecureRegistries]]), env);
  const client = createRegistryClient(settings, { userAgent: `gantry/${engineVersion}` });
  const interrupted = new AbortController();
  const interrupt = () =>
    interrupted.abort(new EngineError('unavailable', 'interrupted: what was copied is kept, and found by the next try'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  try {
    await copyAll(request, await openPlaces(request, client, env), interrupted.signal);
    return 0;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
    client.close();
  }
}

interface Places {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
}

async function openPlaces({ source, destination }: CopyRequest, client: RegistryClient, env: NodeJS.ProcessEnv): Promise<Places> {
  const credentials = new CredentialStore(new DockerConfig(configDirectory(env)), env);
  const registryPlace = async (place: CopyPlace & { kind: 'registry' }) =>
    new RegistryPlace(client.repository(place.repository, await credentialsOf(credentials, place.repository.domain)));
  const to = destination.kind === 'layout' ? new LayoutPlace(destination.directory) : await registryPlace(destination);
  const from = source.kind === 'layout' ? new LayoutPlace(source.directory) : await registryPlace(source);
  if (to instanceof LayoutPlace) await to.prepare();
  return { source: from, destination: to };
}

async function credentialsOf(store: CredentialStore, domain: string): Promise<RegistryCredentials | null> {
  const { username, password, identitytoken, registrytoken } = await store.get(domain);
  if (registrytoken) return { kind: 'registry-token', token: registrytoken };
  if (identitytoken) return { kind: 'identity-token', token: identitytoken };
  return username !== undefined && password !== undefined ? { kind: 'basic', username, password } : null;
}

async function copyAll(request: CopyRequest, places: Places, signal: AbortSignal): Promise<void> {
  const progress = new CopyProgress(request.quiet ? null : process.stderr);
  const { platform, referrers, parallel } = request;
  const copy = new ImageCopy(places.source, places.destination, {
    platform,
    referrers,
    parallel,
    signal,
    onEvent: (event: CopyEvent) => progress.tell(event),
  });
  if (!request.allTags) {
    const { reference, tag } = await namesOf(request, places, signal);
    const copied = await copy.copy(reference, tag);
    process.stdout.write(`${nameOf(request.destination, tag, copied)}\n`);
    process.stderr.write(`${progress.summary()}\n`);
    return;
  }
  const failures: string[] = [];
  let tags = 0;
  for await (const tag of places.source.tags(signal)) {
    tags++;
    try {
      process.stdout.write(`${nameOf(request.destination, tag, await copy.copy(tag, tag))}\n`);
    } catch (thrown) {
      signal.throwIfAborted();
      if (!(thrown instanceof EngineError)) throw thrown;
      failures.push(`${tag}: ${errorText(thrown)}`);
    }
  }
  process.stderr.write(`${progress.summary()}\n`);
  if (failures.length > 0)
    throw new EngineError(
      'unavailable',
      `${failures.length} of ${tags} tags of ${places.source.name} could not be copied:\n  ${failures.join('\n  ')}`,
    );
}

/** The source's tag goes along where the destination has none; a digest has no name to give. */
async function namesOf(
  { source, destination }: CopyRequest,
  places: Places,
  signal: AbortSignal,
): Promise<{ readonly reference: string | null; readonly tag: string | null }> {
  if (source.digest !== null) return { reference: source.digest, tag: destination.tag };
  const written = source.tag ?? (source.kind === 'registry' ? 'latest' : await onlyTag(places.source, signal));
  return { reference: written, tag: destination.tag ?? written ?? 'latest' };
}

/** Of a layout that holds one image; null: it has no name, or there are several. */
async function onlyTag(source: ImageSource, signal: AbortSignal): Promise<string | null> {
  const tags: string[] = [];
  for await (const tag of source.tags(signal)) tags.push(tag);
  return tags.length === 1 ? (tags[0] ?? null) : null;
}

function nameOf(place: CopyPlace, tag: string | null, { digest }: Descriptor): string {
  if (!isDigest(digest)) throw new Error('a copy has a digest');
  if (place.kind === 'registry') return familiarReference({ ...place.repository, tag, digest });
  return `oci:${place.directory}${tag === null ? '' : `:${tag}`}@${digest}`;
}
