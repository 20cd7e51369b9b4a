/** `transfers.ts` over the catalogue's store and the registry client, with the embedded images where a registry is out of reach. */
import { EngineError, errorText, invalid } from '../base/errors.ts';
import type { RegistryClient } from '../distribution/registry-client.ts';
import { RegistryError } from '../distribution/registry-error.ts';
import { imageConfigLimitBytes, parseImageConfig } from '../oci/image-config.ts';
import { hostPlatform, type Platform } from '../oci/platform.ts';
import { canonicalName, familiarReference, parseReference, withDefaultTag } from '../oci/reference.ts';
import { BlobFetches, type DownloadBlob } from './blob-fetches.ts';
import type { ImageProgress } from './catalogue.ts';
import type { EmbeddedImages } from './embedded.ts';
import { fetchSmall } from './fetch-small.ts';
import type { ImageStore } from './image-store.ts';
import { type PullRequest, pullImage } from './pull.ts';
import { type OwnRegistry, pushImage } from './push.ts';
import { firstDocument, readDocument } from './remote-image.ts';
import { TransferSlots } from './transfer-slots.ts';
import type { RemoteDescription, TransferSettings, Transfers } from './transfers.ts';

export interface TransferOptions extends TransferSettings {
  readonly store: ImageStore;
  readonly client: RegistryClient;
  readonly download: DownloadBlob;
  readonly embedded: EmbeddedImages;
  /** Null: there is none, or none yet. */
  readonly ownRegistry?: () => OwnRegistry | null;
  readonly host?: Platform;
}

/** Where an embedded image can stand in, nobody waits longer for a registry to answer at all. */
const patienceMs = 3000;

export function createTransfers(options: TransferOptions): Transfers {
  const { store, client, download, embedded, host = hostPlatform() } = options;
  const downloads = new TransferSlots(options.maxConcurrentDownloads);
  const uploads = new TransferSlots(options.maxConcurrentUploads);
  const fetches = new BlobFetches(store.blobs, download, downloads);
  let current: TransferSettings = options;
  const fromRegistry = (request: PullRequest, report: Report, signal: AbortSignal) =>
    pullImage({ store, client, download, fetches, host }, request, report, signal);
  return {
    async pull(request, report, signal) {
      const reference = familiarReference(withDefaultTag(parseReference(request.reference)));
      if (!embedded.has(reference, request.platform)) return await fromRegistry(request, report, signal);
      if (!isRegistryFirst(reference, current)) return void (await embedded.ensure(reference, report));
      try {
        await withPatience(fromRegistry, { ...request, reference }, report, signal);
      } catch (error) {
        if (!(error instanceof OutOfReach)) throw error;
        report({ kind: 'status', text: `docker.io cannot be reached (${error.message}): taking the image that comes with Gantry` });
        await embedded.ensure(reference, report);
      }
    },
    push: (request, report, signal) =>
      pushImage({ store, client, slots: uploads, ownRegistry: options.ownRegistry?.() ?? null }, request, report, signal),
    logIn: (server, credentials, signal) => client.login(domainOf(server), credentials, signal),
    search: (term, searchOptions) => client.search(term, searchOptions),
    describe: (reference, credentials, signal) => describe({ client, download }, reference, credentials, signal),
    configure(settings) {
      current = settings;
      downloads.limit = settings.maxConcurrentDownloads;
      uploads.limit = settings.maxConcurrentUploads;
      client.configure(settings.settings);
    },
  };
}

type Report = (progress: ImageProgress) => void;

/** hello-world is made to show that an engine works, so it needs no registry, unless somebody set one up. */
function isRegistryFirst(reference: string, { settings }: TransferSettings): boolean {
  const name = canonicalName(parseReference(reference));
  const hasMirror =
    settings.mirrors.length > 0 || settings.prefixMirrors.some(({ prefix }) => name === prefix || name.startsWith(`${prefix}/`));
  return hasMirror || name !== 'docker.io/library/hello-world';
}

/** Nobody answered, and nothing of the pull was told yet. */
class OutOfReach extends Error {}

async function withPatience(
  pull: (request: PullRequest, report: Report, signal: AbortSignal) => Promise<void>,
  request: PullRequest,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(new OutOfReach(`no answer within ${patienceMs / 1000} seconds`)), patienceMs);
  let answered = false;
  const first = (progress: ImageProgress) => {
    answered = true;
    clearTimeout(timer);
    report(progress);
  };
  try {
    await pull(request, first, AbortSignal.any([signal, patience.signal]));
  } catch (error) {
    if (answered || signal.aborted) throw error;
    if (patience.signal.aborted) throw patience.signal.reason;
    throw error instanceof RegistryError && error.failure.status === null ? new OutOfReach(errorText(error)) : error;
  } finally {
    clearTimeout(timer);
  }
}

async function describe(
  { client, download }: Pick<TransferOptions, 'client' | 'download'>,
  text: string,
  credentials: Parameters<RegistryClient['repository']>[1],
  signal: AbortSignal,
): Promise<RemoteDescription> {
  const reference = withDefaultTag(parseReference(text));
  const repository = client.repository({ domain: reference.domain, path: reference.path }, credentials);
  const first = await firstDocument(repository, reference.digest ?? reference.tag ?? 'latest', signal);
  const document = readDocument(first);
  if (document.kind === 'index') {
    return { descriptor: first.descriptor, platforms: document.manifests.flatMap(({ platform }) => (platform ? [platform] : [])) };
  }
  const bytes = await fetchSmall(download, repository, document.config, {
    limitBytes: imageConfigLimitBytes,
    what: 'image config',
    signal,
  });
  return { descriptor: first.descriptor, platforms: [platformOf(bytes)] };
}

/** Of artifacts that are no image: nothing is known. */
function platformOf(config: Buffer): Platform {
  try {
    const { os, architecture, variant } = parseImageConfig(config, 'image config');
    return { os, architecture, ...(variant === undefined ? {} : { variant }) };
  } catch (error) {
    if (error instanceof EngineError) return { os: '', architecture: '' };
    throw error;
  }
}

/** Clients name Docker Hub by the address it had in 2013. */
function domainOf(server: string): string {
  const host = server.replace(/^https?:\/\//, '').split('/')[0] ?? '';
  if (server === '' || host === 'index.docker.io' || host === 'registry-1.docker.io') return 'docker.io';
  if (!/^[A-Za-z0-9.[\]:-]+$/.test(host)) throw invalid(`invalid registry address: ${JSON.stringify(server)}`);
  return host;
}
