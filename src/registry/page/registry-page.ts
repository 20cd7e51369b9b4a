/**
 * The web page of the registry: what is there, for people. Rendered here, without a script, from the same `Registry` and under the same access control as the API.
 *
 *     /                                   repositories          ?q=part of a name&after=name
 *     /browse/library/busybox             its tags              ?q=…&after=…
 *     /browse/library/busybox:latest      one manifest, by tag or by @digest
 *     /login                              asks the browser for a user, then goes back to /
 *
 * Who may not read a repository cannot tell from the answer whether there is one: the question of access comes first.
 */
import { EngineError } from '../../base/errors.ts';
import { isDigest } from '../../oci/digest.ts';
import type { AccessControl, AccessDecision, AccessScope } from '../access.ts';
import type { RegistryView } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { catalogueView, listRepositories } from './catalogue-view.ts';
import { html } from './html.ts';
import { readManifest } from './image-summary.ts';
import { imageView } from './image-view.ts';
import { type Frame, framed } from './page-frame.ts';
import type { PageRequest, PageResponse } from './page-request.ts';
import { repositoryView } from './repository-view.ts';

export interface RegistryPageOptions {
  /** Of a pull-through cache: what it holds (`kept`); looking at a page must fetch nothing. */
  readonly registry: RegistryView;
  readonly access: AccessControl;
  /** There are users: who is not logged in is offered to. */
  readonly hasUsers: boolean;
}

export type RegistryPage = (request: PageRequest) => Promise<PageResponse>;

interface Viewer {
  readonly request: PageRequest;
  readonly user: string | null;
  readonly canSignIn: boolean;
  readonly query: URLSearchParams;
}

export function createRegistryPage(options: RegistryPageOptions): RegistryPage {
  return async (request) => {
    try {
      return await answer(options, request);
    } catch (thrown) {
      return failure(thrown);
    }
  };
}

async function answer({ registry, access, hasUsers }: RegistryPageOptions, request: PageRequest): Promise<PageResponse> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return message(
      405,
      'This page can only be looked at',
      `${request.method} is not answered here. The API of the registry is below /v2/.`,
      { Allow: 'GET, HEAD' },
    );
  }
  const { path, query } = split(request.target);
  if (path === null) return notFound();
  const ask = (scope: AccessScope) => access.decide(questionOf(request), scope);
  if (path === '/login') return await login(request, ask);
  if (path === '/') {
    const base = await ask({ kind: 'base' });
    if (base.kind !== 'granted') return refused(base);
    const viewer = { request, user: base.user, canSignIn: hasUsers, query };
    return await catalogue(
      registry,
      viewer,
      async (name) => (await access.decide({ ...questionOf(request), isListEntry: true }, pullOf(name))).kind === 'granted',
    );
  }
  const place = placeOf(path);
  if (place === null) return notFound();
  const decision = await ask(pullOf(place.name));
  if (decision.kind !== 'granted') return refused(decision);
  const viewer = { request, user: decision.user, canSignIn: hasUsers, query };
  return await (place.reference === null ? tagsOf(registry, viewer, place.name) : imageOf(registry, viewer, place.name, place.reference));
}

async function catalogue(registry: RegistryView, viewer: Viewer, mayRead: (name: string) => Promise<boolean>): Promise<PageResponse> {
  const page = pageOf(viewer);
  const listing = await listRepositories(registry, page, mayRead);
  const content = await catalogueView(registry, listing, page);
  return framed({ ...frameOf(viewer), title: 'Repositories', search: { action: '/', text: page.text, label: 'Part of a name' }, content });
}

async function tagsOf(registry: RegistryView, viewer: Viewer, name: string): Promise<PageResponse> {
  const repository = registry.repository(name);
  if (!repository.exists) return notFound();
  const page = pageOf(viewer);
  const content = await repositoryView(repository, page);
  return framed({
    ...frameOf(viewer),
    title: name,
    search: { action: `/browse/${name}`, text: page.text, label: 'Part of a tag' },
    content,
  });
}

async function imageOf(registry: RegistryView, viewer: Viewer, name: string, reference: string): Promise<PageResponse> {
  const repository = registry.repository(name);
  const manifest = await readManifest(repository, reference);
  if (manifest === null) return notFound();
  const content = await imageView(repository, manifest, { reference, host: new URL(viewer.request.origin).host });
  return framed({ ...frameOf(viewer), title: `${name}${isDigest(reference) ? '@' : ':'}${reference}`, search: null, content });
}

/** Browsers send what they were asked for below the folder that asked, so from here it holds for every page. */
async function login(request: PageRequest, ask: (scope: AccessScope) => Promise<AccessDecision>): Promise<PageResponse> {
  const decision = await ask({ kind: 'base' });
  if (decision.kind !== 'granted') return refused(decision);
  if (decision.user === null && request.authorization === null) return challenge(`Basic realm="${request.origin}", charset="UTF-8"`);
  return { ...message(303, 'Logged in', 'Go to the repositories.'), headers: { Location: '/', 'Cache-Control': 'no-store' } };
}

function questionOf({ authorization, address, origin }: PageRequest) {
  return { authorization, address, origin, isBrowser: true } as const;
}

function pullOf(name: string): AccessScope {
  return { kind: 'repository', name, actions: ['pull'] };
}

function pageOf({ query }: Viewer) {
  return { text: (query.get('q') ?? '').trim().slice(0, 256), after: query.get('after') };
}

function frameOf({ user, canSignIn }: Viewer): Pick<Frame, 'user' | 'canSignIn'> {
  return { user, canSignIn };
}

function split(target: string): { readonly path: string | null; readonly query: URLSearchParams } {
  const mark = target.indexOf('?');
  const query = new URLSearchParams(mark === -1 ? '' : target.slice(mark + 1));
  try {
    return { path: decodeURIComponent(mark === -1 ? target : target.slice(0, mark)), query };
  } catch {
    return { path: null, query };
  }
}

const place = /^\/browse\/(?<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?:@(?<digest>sha256:[0-9a-f]{64})|:(?<tag>\w[\w.-]{0,127}))?\/?$/;

function placeOf(path: string): { readonly name: string; readonly reference: string | null } | null {
  if (path.length > 1000) return null;
  const { name, digest, tag } = place.exec(path)?.groups ?? {};
  return name === undefined ? null : { name, reference: digest ?? tag ?? null };
}

function refused(decision: Exclude<AccessDecision, { kind: 'granted' }>): PageResponse {
  if (decision.kind === 'challenge') return challenge(decision.challenge);
  return message(403, 'Not allowed', decision.message);
}

function challenge(text: string): PageResponse {
  return message(401, 'Who are you?', 'This registry shows its repositories to those who log in.', { 'WWW-Authenticate': text });
}

function notFound(): PageResponse {
  return message(404, 'Not found', 'There is no such page, or what it showed is gone.');
}

function failure(thrown: unknown): PageResponse {
  if (thrown instanceof RegistryRefusal) return message(thrown.status, 'That did not work', thrown.message);
  if (thrown instanceof EngineError && thrown.code === 'invalid') return message(400, 'That did not work', thrown.message);
  // The transport tells the log.
  throw thrown;
}

function message(status: number, title: string, text: string, headers: Readonly<Record<string, string>> = {}): PageResponse {
  const content = html`<h1>${title}</h1><p>${text}</p>`;
  return framed({ title, search: null, user: null, canSignIn: false, content }, status, headers);
}
