/** One repository: its tags, what each of them is and weighs, and how much of that they share. */
import type { Digest } from '../../base/brand.ts';
import { formatPlatform } from '../../oci/platform.ts';
import type { RegistryRepository } from '../registry.ts';
import { pageLinks, pageSize, tagCountText } from './catalogue-view.ts';
import { type Html, html } from './html.ts';
import { blobsOf, isAttestation, type ManifestSummary, readManifest, sumOf } from './image-summary.ts';
import { bytesText, shortDigest, timeText } from './words.ts';

/** Of larger repositories only what is on the page is summed up. */
const summedTags = 1000;

interface TagFacts {
  readonly tag: string;
  readonly movedAt: Date | null;
  readonly manifest: ManifestSummary | null;
  readonly blobs: ReadonlyMap<Digest, number>;
}

export async function repositoryView(
  repository: RegistryRepository,
  { after, text }: { readonly after: string | null; readonly text: string },
): Promise<Html> {
  const { entries: all, more } = await repository.tags({ after: null, limit: summedTags });
  const listing = more ? await listTags(repository, after, text) : chosen(all, after, text);
  const facts = await Promise.all(listing.tags.map((tag) => factsOf(repository, tag)));
  const summed = more || all.length === facts.length ? facts : await Promise.all(all.map((tag) => factsOf(repository, tag)));
  const path = `/browse/${repository.name}`;
  return html`<h1>${repository.name}</h1>
<ul class="facts">
<li>${tagCountText(all.length, more)}</li>
${totals(summed, more)}
</ul>
${facts.length === 0 ? html`<p>${text === '' ? 'No tags.' : `No tag has “${text}” in its name.`}</p>` : tagTable(repository.name, facts)}
${pageLinks(path, text, after, listing.next)}`;
}

/** What the tags weigh one by one, and what is really there: a layer that several have is stored once. */
function totals(facts: readonly TagFacts[], onlyThisPage: boolean): Html | null {
  const distinct = new Map<Digest, number>();
  let alone = 0;
  // Tags of one manifest are one image.
  const images = new Map(facts.map((fact) => [fact.manifest?.digest ?? fact.tag, fact]));
  for (const { blobs } of images.values()) {
    alone += sumOf(blobs.values());
    for (const [digest, size] of blobs) distinct.set(digest, size);
  }
  const total = sumOf(distinct.values());
  return html`<li>${bytesText(total)} in all${onlyThisPage ? ' on this page' : null}</li>
<li>${bytesText(alone - total)} saved by sharing</li>`;
}

function tagTable(name: string, facts: readonly TagFacts[]): Html {
  const largest = Math.max(1, ...facts.map(({ blobs }) => sumOf(blobs.values())));
  return html`<div class="card"><table>
<thead><tr><th>Tag</th><th>Platforms</th><th>Digest</th><th>Pushed</th><th class="number">Size</th><th></th></tr></thead>
<tbody>${facts.map((fact) => tagRow(name, fact, largest))}</tbody>
</table></div>`;
}

function tagRow(name: string, { tag, movedAt, manifest, blobs }: TagFacts, largest: number): Html {
  const size = sumOf(blobs.values());
  return html`<tr><td><a href="/browse/${name}:${tag}">${tag}</a></td>
<td class="small">${manifest === null ? 'gone' : platformsOf(manifest)}</td>
<td>${manifest && html`<a href="/browse/${name}@${manifest.digest}"><code>${shortDigest(manifest.digest)}</code></a>`}</td>
<td class="small">${movedAt && timeText(movedAt.toISOString())}</td>
<td class="number">${bytesText(size)}</td>
<td><meter min="0" max="${largest}" value="${size}">${bytesText(size)}</meter></td></tr>
`;
}

function platformsOf({ document }: ManifestSummary): string {
  if (document === null) return 'unreadable';
  if (document.kind === 'manifest') return 'one';
  const platforms = document.manifests.filter((entry) => !isAttestation(entry));
  const names = platforms.slice(0, 8).map(({ platform }) => (platform ? formatPlatform(platform) : 'any'));
  return names.join(', ') + (platforms.length > names.length ? `, ${platforms.length - names.length} more` : '');
}

async function factsOf(repository: RegistryRepository, tag: string): Promise<TagFacts> {
  const manifest = await readManifest(repository, tag);
  return {
    tag,
    movedAt: repository.tag(tag)?.movedAt ?? null,
    manifest,
    blobs: manifest === null ? new Map() : await blobsOf(repository, manifest),
  };
}

interface TagListing {
  readonly tags: readonly string[];
  readonly next: string | null;
}

function chosen(all: readonly string[], after: string | null, text: string): TagListing {
  const matching = all.filter((tag) => tag.includes(text) && (after === null || tag > after));
  const tags = matching.slice(0, pageSize);
  return { tags, next: matching.length > tags.length ? (tags.at(-1) ?? null) : null };
}

async function listTags(repository: RegistryRepository, after: string | null, text: string): Promise<TagListing> {
  const tags: string[] = [];
  let from = after;
  for (;;) {
    const { entries, more } = await repository.tags({ after: from, limit: summedTags });
    for (const tag of entries.filter((entry) => entry.includes(text))) {
      if (tags.length === pageSize) return { tags, next: tags.at(-1) ?? null };
      tags.push(tag);
    }
    from = entries.at(-1) ?? null;
    if (!more || from === null) return { tags, next: null };
  }
}
