/** What a copy says while it runs: a line for every blob and manifest, and for a large blob one now and then. */
import type { Descriptor } from '../../oci/manifest.ts';
import type { CopyEvent } from '../../registry/copy/copy-image.ts';
import type { BlobOutcome } from '../../registry/copy/image-place.ts';

const everyMs = 5000;
const words = { copied: 'copied', mounted: 'mounted from the other repository', exists: 'is there' } as const;

export class CopyProgress {
  readonly #output: { write(text: string): unknown } | null;
  readonly #lastLine = new Map<string, number>();
  readonly #counts = { copied: 0, mounted: 0, exists: 0 };
  readonly #bytes = { copied: 0, mounted: 0, exists: 0 };
  #manifests = 0;

  /** Null: nothing but the summary. */
  constructor(output: { write(text: string): unknown } | null) {
    this.#output = output;
  }

  tell(event: CopyEvent): void {
    if (event.kind === 'progress') this.#sent(event.blob, event.sentBytes);
    else if (event.kind === 'blob') this.#ended(event.blob, event.outcome);
    else this.#manifest(event);
  }

  summary(): string {
    const { copied, mounted, exists } = this.#counts;
    const parts = [
      `${this.#manifests} manifests`,
      `${copied} blobs (${bytesText(this.#bytes.copied)}) copied`,
      ...(mounted === 0 ? [] : [`${mounted} (${bytesText(this.#bytes.mounted)}) mounted`]),
      ...(exists === 0 ? [] : [`${exists} (${bytesText(this.#bytes.exists)}) were there`]),
    ];
    return parts.join(', ');
  }

  #ended(blob: Descriptor, outcome: BlobOutcome): void {
    this.#counts[outcome]++;
    this.#bytes[outcome] += blob.size;
    this.#line(`${shortName(blob)} ${bytesText(blob.size)} ${words[outcome]}`);
  }

  #manifest({ manifest, tag, outcome }: Extract<CopyEvent, { kind: 'manifest' }>): void {
    if (tag === null && outcome === 'copied') this.#manifests++;
    this.#line(`manifest ${shortName(manifest)}${tag === null ? '' : ` as ${tag}`} ${words[outcome]}`);
  }

  #sent(blob: Descriptor, sentBytes: number): void {
    const now = performance.now();
    const last = this.#lastLine.get(blob.digest) ?? now;
    if (!this.#lastLine.has(blob.digest)) this.#lastLine.set(blob.digest, now);
    if (now - last < everyMs) return;
    this.#lastLine.set(blob.digest, now);
    this.#line(`${shortName(blob)} ${bytesText(sentBytes)} of ${bytesText(blob.size)}`);
  }

  #line(text: string): void {
    this.#output?.write(`${text}\n`);
  }
}

function shortName({ digest }: Descriptor): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12);
}

function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const unit = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1000 ** unit).toPrecision(3))} ${['B', 'kB', 'MB', 'GB', 'TB'][unit]}`;
}
