/**
 * The contexts of one build: each is received or fetched once, when something of it is needed first, and is the build's until its end. One that nothing is taken from is never asked for.
 */
import { errorText, invalid } from '../../base/errors.ts';
import type { ImageRecord } from '../../images/image-records.ts';
import type { ImageStore } from '../../images/image-store.ts';
import { formatPlatform, type Platform } from '../../oci/platform.ts';
import { canonicalReference, familiarReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { BuildClient } from '../build-client.ts';
import type { BuildRequest, ContextLocation } from '../build-request.ts';
import type { ContextStore, GitRequest, HeldContext, HttpRequest } from '../context/context-store.ts';
import type { NamedContext } from '../plan/build-plan.ts';
import { loadLayoutImage } from './layout-image.ts';
import { type Vertices, vertexDigest } from './vertices.ts';

/** In front of the name of a context whose image is in an OCI layout: no reference of a registry begins so. */
const LAYOUT = 'oci-layout://';

export interface BuildContextsOptions {
  readonly contexts: ContextStore;
  /** For images in OCI layouts. */
  readonly store: ImageStore;
  readonly request: Pick<BuildRequest, 'context' | 'namedContexts' | 'buildArguments'>;
  readonly client: BuildClient;
  readonly vertices: Vertices;
  readonly signal: AbortSignal;
}

/** Of an address that answered with one file, which is the Dockerfile. */
export interface ContextFile {
  readonly name: string;
  readonly held: HeldContext;
}

interface Opened {
  readonly held: HeldContext;
  readonly file: ContextFile | null;
  /** Of git: when its commit was made. */
  readonly committedAt: Date | null;
  readonly source: ContextSource | null;
}

/** Where others can fetch it too; without credentials. */
export interface ContextSource {
  readonly uri: string;
  readonly digest: { readonly sha1: string } | { readonly sha256: string };
}

export class BuildContexts {
  readonly #options: BuildContextsOptions;
  readonly #opened = new Map<string, Promise<Opened>>();
  readonly #fetched = new Map<string, Promise<HeldContext>>();
  readonly #downloads = new Map<string, ContextSource>();

  constructor(options: BuildContextsOptions) {
    this.#options = options;
  }

  /** `name`: empty is the build's own. */
  async get(name: string): Promise<HeldContext> {
    return (await this.#open(name)).held;
  }

  /** Begun beside other work; whoever needs it hears of a failure. */
  prefetch(name: string): void {
    this.#open(name).catch(() => undefined);
  }

  /** Digest of the vertex that tells of its transfer. */
  vertexOf(name: string): string {
    const location = this.#location(name);
    return vertexDigest(location === undefined ? name : vertexName(name, location));
  }

  /** The build's own context is a single file. */
  async file(): Promise<ContextFile | null> {
    return (await this.#open('')).file;
  }

  /** Where the build's own context came from; null: from the client. */
  async source(): Promise<ContextSource | null> {
    const { kind } = this.#options.request.context;
    return kind === 'git' || kind === 'http' ? (await this.#open('')).source : null;
  }

  /** The newest of its files, or when its commit was made: seconds since 1970. */
  async time(name: string): Promise<number> {
    const { held, committedAt } = await this.#open(name);
    if (committedAt !== null) return Math.floor(committedAt.getTime() / 1000);
    return await this.#options.contexts.newestTime(held.files);
  }

  /** `name` as FROM, `--from` or a mount has it. `name::os/arch` comes before `name`. */
  named(name: string, platform: Platform): NamedContext | null {
    const { namedContexts } = this.#options.request;
    const wanted = sameNames(name);
    for (const suffix of [`::${formatPlatform(platform)}`, '']) {
      const key = [...namedContexts.keys()].find((given) =>
        wanted.some((each) => given.toLowerCase() === `${each}${suffix}`.toLowerCase()),
      );
      const location = key === undefined ? undefined : namedContexts.get(key);
      if (key === undefined || location === undefined) continue;
      if (location.kind === 'image') return { kind: 'image', reference: imageName(key, location.reference) };
      if (location.kind === 'oci-layout') return { kind: 'image', reference: `${LAYOUT}${key}` };
      return { kind: 'files', operation: { kind: 'context', name: key } };
    }
    return null;
  }

  /** What ADDs fetched so far. */
  get downloads(): readonly ContextSource[] {
    return [...this.#downloads.values()];
  }

  /** The image of an OCI layout that `named` gave a reference of; null: it is of another kind. */
  async layoutImage(reference: string, platform: Platform): Promise<ImageRecord | null> {
    if (!reference.startsWith(LAYOUT)) return null;
    const name = reference.slice(LAYOUT.length);
    const location = this.#location(name);
    if (location?.kind !== 'oci-layout') throw invalid(`there is no OCI layout ${name}`);
    const { files } = await this.get(name);
    return await loadLayoutImage(this.#options.store, files, location.reference, platform, this.#options.signal);
  }

  /** Source of an ADD: fetched once, however many ask. */
  url({ url, checksum, unpack }: Pick<HttpRequest, 'url' | 'checksum' | 'unpack'>): Promise<HeldContext> {
    const { contexts, signal } = this.#options;
    return this.#fetch(url, `${checksum} ${unpack}`, async () => {
      const held = await contexts.http({ url, checksum, unpack, secret: (id) => this.#secret(id) }, signal);
      return { held, digest: { sha256: held.digest.replace(/^sha256:/, '') } };
    });
  }

  git({ url, checksum, keepGitDirectory }: Pick<GitRequest, 'url' | 'checksum' | 'keepGitDirectory'>): Promise<HeldContext> {
    return this.#fetch(url, `${checksum} ${keepGitDirectory}`, async () => {
      const held = await this.#git({ url, checksum, keepGitDirectory });
      return { held, digest: { sha1: held.commit } };
    });
  }

  /** Those that are still on their way are waited for: nothing of them is left. */
  async release(): Promise<void> {
    const all = [...[...this.#opened.values()].map(async (opened) => (await opened).held), ...this.#fetched.values()];
    const held = (await Promise.allSettled(all)).flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    await Promise.all(held.map((context) => context.release()));
  }

  #fetch(
    url: string,
    how: string,
    work: () => Promise<{ readonly held: HeldContext; readonly digest: ContextSource['digest'] }>,
  ): Promise<HeldContext> {
    const key = `fetch ${url} ${how}`;
    const known = this.#fetched.get(key);
    if (known) return known;
    const fetching = this.#options.vertices.during(
      shownAddress(url),
      async () => {
        const { held, digest } = await work();
        this.#downloads.set(key, { uri: shownAddress(url), digest });
        return held;
      },
      key,
    );
    this.#fetched.set(key, fetching);
    return fetching;
  }

  #open(name: string): Promise<Opened> {
    const known = this.#opened.get(name);
    if (known) return known;
    const location = this.#location(name);
    const opened = location === undefined ? Promise.reject(invalid(`there is no context ${name}`)) : this.#transfer(name, location);
    this.#opened.set(name, opened);
    return opened;
  }

  #location(name: string): ContextLocation | undefined {
    const { context, namedContexts } = this.#options.request;
    return name === '' ? context : namedContexts.get(name);
  }

  async #transfer(name: string, location: ContextLocation): Promise<Opened> {
    const { contexts, signal, vertices } = this.#options;
    const title = vertexName(name, location);
    switch (location.kind) {
      case 'empty':
        return { held: await contexts.empty(), file: null, committedAt: null, source: null };
      case 'oci-layout':
      case 'client':
        return await vertices.during(title, async (vertex) => {
          const status = 'transferring context:';
          let received = 0;
          const progress = (bytes: number) => {
            received = bytes;
            vertex.status(status, bytes);
          };
          const transfer = await this.#options.client.context(location.name, signal);
          const held = await contexts.receive(transfer, progress, signal);
          vertex.status(status, received, 0, true);
          return { held, file: null, committedAt: null, source: null };
        });
      case 'git':
        return await vertices.during(title, async () => {
          const keepGitDirectory = /^(1|true)$/i.test(this.#options.request.buildArguments.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR') ?? '');
          const held = await this.#git({ url: location.url, checksum: null, keepGitDirectory });
          return {
            held,
            file: null,
            committedAt: held.committedAt,
            source: { uri: shownAddress(location.url), digest: { sha1: held.commit } },
          };
        });
      case 'http':
        return await vertices.during(title, async () => {
          const held = await contexts.http({ url: location.url, checksum: null, unpack: true, secret: (id) => this.#secret(id) }, signal);
          const source = { uri: shownAddress(location.url), digest: { sha256: held.digest.replace(/^sha256:/, '') } };
          return { held, file: held.isArchive ? null : { name: held.fileName, held }, committedAt: null, source };
        });
      case 'image':
        throw invalid(`an image is no build context: use --build-context NAME=docker-image://${location.reference}`);
    }
  }

  #git(request: Pick<GitRequest, 'url' | 'checksum' | 'keepGitDirectory'>): ReturnType<ContextStore['git']> {
    const { client, contexts, signal } = this.#options;
    const connectSshAgent = () => client.connectSshAgent('default', signal);
    const withAgent = client.hasSshAgent('default', signal).then((has) => (has ? connectSshAgent : null));
    return withAgent.then((agent) => contexts.git({ ...request, secret: (id) => this.#secret(id), connectSshAgent: agent }, signal));
  }

  #secret(id: string): Promise<Uint8Array | null> {
    return this.#options.client.secret(id, this.#options.signal);
  }
}

function vertexName(name: string, location: ContextLocation): string {
  const isOwn = name === '';
  switch (location.kind) {
    case 'git':
      return `${isOwn ? '[internal]' : `[context ${name}]`} load git source ${shownAddress(location.url)}`;
    case 'http':
      return isOwn ? '[internal] load remote build context' : `[context ${name}] ${shownAddress(location.url)}`;
    case 'client':
    case 'empty':
    case 'image':
    case 'oci-layout':
      return isOwn ? '[internal] load build context' : `[context ${name}] load from client`;
  }
}

/** `https://token@host/…` without what is before the `@`: it is shown, and may be kept. */
export function shownAddress(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1');
}

/** `alpine`, `alpine:latest` and `docker.io/library/alpine:latest` are one. */
function sameNames(name: string): readonly string[] {
  const names = new Set([name, name.replace(/:latest$/, ''), `${name}:latest`]);
  try {
    const reference = withDefaultTag(parseReference(name));
    names
      .add(canonicalReference(reference))
      .add(familiarReference(reference))
      .add(familiarReference(reference).replace(/:latest$/, ''));
  } catch {
    // A name that no image can have.
  }
  return [...names];
}

function imageName(key: string, reference: string): string {
  try {
    return canonicalReference(withDefaultTag(parseReference(reference)));
  } catch (cause) {
    throw invalid(`the build context ${key} is no image: ${errorText(cause)}`, { cause });
  }
}
