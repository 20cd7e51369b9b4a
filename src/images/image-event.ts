/** Events of images carry the labels of their image, as Docker's do: `events --filter label=…` finds them by it. */
import type { ImageId } from '../base/brand.ts';
import type { ImageEvent } from './catalogue.ts';
import type { ImageRecords } from './image-records.ts';

/** As long as the image is there; `delete` tells its name alone. */
export function withLabels(records: Pick<ImageRecords, 'get'>, event: ImageEvent): ImageEvent {
  if (event.action === 'delete') return event;
  const labels = records.get(event.id as ImageId)?.config.config?.Labels ?? {};
  return { ...event, attributes: { ...labels, ...event.attributes } };
}
