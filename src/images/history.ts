/** `docker history`: newest step first. Only the image itself, and ancestors that are images here, have ids; all else is `<missing>`. */
import type { HistoryEntry } from './catalogue.ts';
import type { ImageRecord, ImageRecords } from './image-records.ts';
import { familiarTags } from './image-view.ts';

export function imageHistory(records: ImageRecords, image: ImageRecord): readonly HistoryEntry[] {
  let layer = 0;
  const steps = image.config.history.map((step) => {
    const sizeBytes = step.empty_layer ? 0 : (image.layers[layer++]?.sizeBytes ?? 0);
    return { step, sizeBytes };
  });
  const entries: HistoryEntry[] = steps.reverse().map(({ step, sizeBytes }) => ({
    id: '<missing>',
    createdAt: dateOf(step.created),
    createdBy: step.created_by ?? '',
    comment: step.comment ?? '',
    sizeBytes,
    tags: [],
  }));
  return withIds(records, image, entries);
}

/** The newest entry is the image; its parent's history is the rest, and so on. */
function withIds(records: ImageRecords, image: ImageRecord, entries: readonly HistoryEntry[]): readonly HistoryEntry[] {
  let ancestor: ImageRecord | undefined = image;
  return entries.map((entry) => {
    if (!ancestor) return entry;
    const { id, parent } = ancestor;
    ancestor = parent === null ? undefined : records.get(parent);
    return { ...entry, id, tags: familiarTags(records, id) };
  });
}

/** Go's zero time where a builder wrote none. */
export function dateOf(text: string | undefined): Date {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return new Date(Number.isNaN(time) ? Date.parse('0001-01-01T00:00:00Z') : time);
}
