/** Uploads under way, by id and by repository. What a repository's uploads have taken so far counts together: else a quota would bound each of many, and not their sum. */
import type { Upload } from './registry-upload.ts';

export class OpenUploads {
  readonly #byId = new Map<string, Upload>();
  readonly #byRepository = new Map<string, Set<Upload>>();

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Upload | undefined {
    return this.#byId.get(id);
  }

  values(): Iterable<Upload> {
    return this.#byId.values();
  }

  add(upload: Upload): void {
    this.#byId.set(upload.id, upload);
    const others = this.#byRepository.get(upload.repository);
    if (others === undefined) this.#byRepository.set(upload.repository, new Set([upload]));
    else others.add(upload);
  }

  remove(upload: Upload): void {
    this.#byId.delete(upload.id);
    const others = this.#byRepository.get(upload.repository);
    others?.delete(upload);
    if (others?.size === 0) this.#byRepository.delete(upload.repository);
  }

  countOf(repository: string): number {
    return this.#byRepository.get(repository)?.size ?? 0;
  }

  /** Of all but one. */
  bytesBeside(repository: string, one: Upload | null): number {
    let sum = 0;
    for (const upload of this.#byRepository.get(repository) ?? []) if (upload !== one) sum += upload.sizeBytes;
    return sum;
  }
}
