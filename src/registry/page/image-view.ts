/** One manifest: what it is, how to get it, its platforms or its layers and config, and what refers to it. */
import type { Digest } from '../../base/brand.ts';
import type { ImageConfig, ImageHistory } from '../../oci/image-config.ts';
import type { Descriptor, ImageIndex, ImageManifest } from '../../oci/manifest.ts';
import { formatPlatform } from '../../oci/platform.ts';
import type { RegistryRepository } from '../registry.ts';
import { configView } from './config-view.ts';
import { type Html, html } from './html.ts';
import { blobsOf, type ConfigReading, isAttestation, type ManifestSummary, readConfig, readManifest, sumOf } from './image-summary.ts';
import { bytesText, countText, shortDigest, shortened, timeText } from './words.ts';

/** Tags of the repository that are looked through for layers in common. */
const comparedTags = 200;
const shownReferrers = 100;

export interface ImageAddress {
  /** Tag or digest. */
  readonly reference: string;
  /** `localhost:5000`, as the reader's address line has it. */
  readonly host: string;
}

export async function imageView(repository: RegistryRepository, manifest: ManifestSummary, address: ImageAddress): Promise<Html> {
  const { document } = manifest;
  const { name } = repository;
  const separator = address.reference.includes(':') ? '@' : ':';
  return html`<p class="small"><a href="/browse/${name}">${name}</a></p>
<h1>${name}${separator}${shortened(address.reference, 140)}</h1>
${document === null ? unreadable(manifest) : document.kind === 'index' ? await indexView(repository, manifest, document, address) : await manifestView(repository, manifest, document, address)}
${await referrersView(repository, manifest.digest)}`;
}

function unreadable({ mediaType, digest, sizeBytes, problem }: ManifestSummary): Html {
  return html`<div class="card"><table><tbody>
<tr><th>Digest</th><td><code>${digest}</code></td></tr>
<tr><th>Type</th><td><code>${mediaType}</code></td></tr>
<tr><th>Manifest</th><td>${bytesText(sizeBytes)}, not shown: ${problem}</td></tr>
</tbody></table></div>`;
}

function pullView(name: string, { reference, host }: ImageAddress, digest: Digest): Html {
  const byDigest = `docker pull ${host}/${name}@${digest}`;
  return html`<h2>Pull</h2>
${reference.includes(':') ? null : html`<pre class="command">docker pull ${host}/${name}:${reference}</pre>`}
<pre class="command">${byDigest}</pre>`;
}

async function indexView(
  repository: RegistryRepository,
  manifest: ManifestSummary,
  index: ImageIndex,
  address: ImageAddress,
): Promise<Html> {
  const total = sumOf((await blobsOf(repository, manifest)).values());
  const rows = await Promise.all(index.manifests.map((entry) => platformRow(repository, entry)));
  return html`<ul class="facts"><li>${countText(index.manifests.filter((entry) => !isAttestation(entry)).length, 'platform')}</li><li>${bytesText(total)} in all</li></ul>
${pullView(repository.name, address, manifest.digest)}
<h2>Platforms</h2>
<div class="card"><table>
<thead><tr><th>Platform</th><th>Digest</th><th class="number">Size</th></tr></thead>
<tbody>${rows}</tbody>
</table></div>
<h2>Index</h2>
<div class="card"><table><tbody>
<tr><th>Digest</th><td><code>${manifest.digest}</code></td></tr>
<tr><th>Type</th><td><code>${manifest.mediaType}</code></td></tr>
${annotationRows(index.annotations)}
</tbody></table></div>`;
}

async function platformRow(repository: RegistryRepository, entry: Descriptor): Promise<Html> {
  const inner = await readManifest(repository, entry.digest);
  const name = isAttestation(entry) ? 'attestation' : entry.platform ? formatPlatform(entry.platform) : 'any';
  if (inner === null)
    return html`<tr class="empty"><td>${name}</td><td><code>${shortDigest(entry.digest)}</code></td><td class="number">not here</td></tr>
`;
  return html`<tr><td><a href="/browse/${repository.name}@${entry.digest}">${name}</a></td><td><code>${shortDigest(entry.digest)}</code></td>
<td class="number">${bytesText(sumOf((await blobsOf(repository, inner)).values()))}</td></tr>
`;
}

async function manifestView(
  repository: RegistryRepository,
  manifest: ManifestSummary,
  document: ImageManifest,
  address: ImageAddress,
): Promise<Html> {
  const reading = await readConfig(repository, document);
  const others = await otherUsers(repository, manifest.digest);
  const total = sumOf((await blobsOf(repository, manifest)).values());
  const layers = new Map(document.layers.map(({ digest, size }) => [digest, size]));
  const shared = sumOf(layers.entries().map(([digest, size]) => (others.has(digest) ? size : 0)));
  const config = reading.kind === 'config' ? reading.config : null;
  return html`<ul class="facts">
${config && html`<li>${formatPlatform(config)}</li>`}
${config?.created === undefined ? null : html`<li>created ${timeText(config.created)}</li>`}
<li>${bytesText(total)}</li>
<li>${countText(document.layers.length, 'layer')}</li>
<li>${bytesText(shared)} shared with other tags here</li>
</ul>
${pullView(repository.name, address, manifest.digest)}
<h2>Layers</h2>
${document.layers.length === 0 ? html`<p>None.</p>` : layerTable(document.layers, config, others)}
${reading.kind === 'config' ? configView(reading.config) : noConfig(reading)}
<h2>Manifest</h2>
<div class="card"><table><tbody>
<tr><th>Digest</th><td><code>${manifest.digest}</code></td></tr>
<tr><th>Type</th><td><code>${manifest.mediaType}</code></td></tr>
<tr><th>Config</th><td><code>${document.config.digest}</code>, ${bytesText(document.config.size)}</td></tr>
${annotationRows(document.annotations)}
</tbody></table></div>`;
}

function noConfig({ why }: Extract<ConfigReading, { kind: 'none' }>): Html {
  return html`<h2>Config</h2><p>Not shown: ${shortened(why, 500)}</p>`;
}

function layerTable(layers: readonly Descriptor[], config: ImageConfig | null, others: ReadonlyMap<Digest, number>): Html {
  const steps = config === null ? [] : config.history.filter((step) => !step.empty_layer);
  const largest = Math.max(1, ...layers.map(({ size }) => size));
  return html`<div class="card"><table>
<thead><tr><th class="number">#</th><th>Layer</th><th>Made by</th><th class="number">Size</th><th></th></tr></thead>
<tbody>${layers.map((layer, index) => layerRow(layer, index, steps.length === layers.length ? steps[index] : undefined, largest, others))}</tbody>
</table></div>`;
}

function layerRow(
  { digest, size, mediaType, annotations }: Descriptor,
  index: number,
  step: ImageHistory | undefined,
  largest: number,
  others: ReadonlyMap<Digest, number>,
): Html {
  const users = others.get(digest) ?? 0;
  const made = step?.created_by ?? annotations?.['org.opencontainers.image.title'] ?? '';
  return html`<tr><td class="number">${index + 1}</td>
<td><code title="${digest}">${shortDigest(digest)}</code><br><span class="soft small">${shortened(mediaType, 120)}</span></td>
<td>${made === '' ? null : html`<code>${shortened(made, 400)}</code>`}</td>
<td class="number">${bytesText(size)}${users === 0 ? null : html`<br><span class="soft small">in ${countText(users, 'other tag')}</span>`}</td>
<td><meter min="0" max="${largest}" value="${size}">${bytesText(size)}</meter></td></tr>
`;
}

function annotationRows(annotations: Readonly<Record<string, string>>): Html | null {
  const entries = Object.entries(annotations).slice(0, 200);
  return entries.length === 0
    ? null
    : html`${entries.map(
        ([key, value]) => html`<tr><th>${shortened(key, 100)}</th><td>${linked(value)}</td></tr>
`,
      )}`;
}

/** A web address becomes a link; `javascript:` and the like stay text. */
export function linked(value: string): Html {
  const text = shortened(value, 2000);
  if (!/^https?:\/\/[^\s]+$/.test(value) || !URL.canParse(value)) return html`<code>${text}</code>`;
  return html`<a rel="noopener noreferrer nofollow" href="${value}">${text}</a>`;
}

/** How many other tags of the repository have a blob. Only the first of a large repository are looked at. */
async function otherUsers(repository: RegistryRepository, own: Digest): Promise<ReadonlyMap<Digest, number>> {
  const users = new Map<Digest, number>();
  const { entries } = await repository.tags({ after: null, limit: comparedTags });
  for (const tag of entries) {
    const other = await readManifest(repository, tag);
    if (other === null || isOrHolds(other, own)) continue;
    for (const digest of (await blobsOf(repository, other)).keys()) users.set(digest, (users.get(digest) ?? 0) + 1);
  }
  return users;
}

function isOrHolds({ digest, document }: ManifestSummary, own: Digest): boolean {
  return digest === own || (document?.kind === 'index' && document.manifests.some((entry) => entry.digest === own));
}

async function referrersView(repository: RegistryRepository, digest: Digest): Promise<Html | null> {
  const { entries, more } = await repository.referrers(digest, { after: null, limit: shownReferrers, artifactType: null });
  if (entries.length === 0) return null;
  return html`<h2>Referrers</h2>
<div class="card"><table>
<thead><tr><th>What</th><th>Digest</th><th class="number">Size</th></tr></thead>
<tbody>${entries.map(
    (referrer) => html`<tr><td>${shortened(referrer.artifactType ?? referrer.mediaType, 200)}</td>
<td><a href="/browse/${repository.name}@${referrer.digest}"><code>${shortDigest(referrer.digest)}</code></a></td><td class="number">${bytesText(referrer.size)}</td></tr>
`,
  )}</tbody>
</table></div>
${more ? html`<p class="soft">There are more; only the first ${shownReferrers} are shown.</p>` : null}`;
}
