/** The first page: the repositories that its reader may read, some at a time, found by a part of their name. */
import type { RegistryView } from '../registry.ts';
import { type Html, html } from './html.ts';
import { countText } from './words.ts';

export const pageSize = 50;
/** Tags that are counted; beyond it says "more than". */
const countedTags = 1000;
const namesAtOnce = 500;

export interface Listing {
  readonly names: readonly string[];
  /** What the next page goes on after; null: this is the last. */
  readonly next: string | null;
}

/** One page of names that hold `text` and pass `mayRead`. */
export async function listRepositories(
  registry: RegistryView,
  { after, text }: { readonly after: string | null; readonly text: string },
  mayRead: (name: string) => Promise<boolean>,
): Promise<Listing> {
  const names: string[] = [];
  let from = after;
  for (;;) {
    const { entries, more } = registry.repositories({ after: from, limit: namesAtOnce });
    for (const name of entries) {
      if (!name.includes(text) || !(await mayRead(name))) continue;
      if (names.length === pageSize) return { names, next: names.at(-1) ?? null };
      names.push(name);
    }
    from = entries.at(-1) ?? null;
    if (!more || from === null) return { names, next: null };
  }
}

export async function catalogueView(
  registry: RegistryView,
  listing: Listing,
  { after, text }: { readonly after: string | null; readonly text: string },
): Promise<Html> {
  const rows = await Promise.all(listing.names.map((name) => repositoryRow(registry, name)));
  return html`<h1>Repositories</h1>
${
  rows.length === 0
    ? nothingFound(text, after)
    : html`<div class="card"><table>
<thead><tr><th>Name</th><th class="number">Tags</th></tr></thead>
<tbody>${rows}</tbody>
</table></div>`
}
${pageLinks('/', text, after, listing.next)}`;
}

async function repositoryRow(registry: RegistryView, name: string): Promise<Html> {
  const { entries, more } = await registry.repository(name).tags({ after: null, limit: countedTags });
  const count = more ? `more than ${countedTags}` : String(entries.length);
  return html`<tr><td><a href="/browse/${name}">${name}</a></td><td class="number">${count}</td></tr>
`;
}

function nothingFound(text: string, after: string | null): Html {
  if (text !== '') return html`<p>No repository has “${text}” in its name.</p>`;
  if (after !== null) return html`<p>There are no more repositories.</p>`;
  return html`<p>There is nothing here yet that you may read. Push an image, and it appears.</p>`;
}

export function pageLinks(path: string, text: string, after: string | null, next: string | null): Html | null {
  if (after === null && next === null) return null;
  return html`<nav class="pages" aria-label="Pages">
${after === null ? null : html`<a href="${link(path, text, null)}">First page</a>`}
${next === null ? null : html`<a rel="next" href="${link(path, text, next)}">Next page</a>`}
</nav>`;
}

function link(path: string, text: string, after: string | null): string {
  const query = new URLSearchParams({ ...(text === '' ? {} : { q: text }), ...(after === null ? {} : { after }) }).toString();
  return query === '' ? path : `${path}?${query}`;
}

export function tagCountText(count: number, more: boolean): string {
  return more ? `more than ${countText(count, 'tag')}` : countText(count, 'tag');
}
