/** The last step of making a layer's directory, before it gets its final name: its record, and everything on the disk. For worker threads. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syncFileSystem } from '../linux/file-calls.ts';
import { encodeLayerRecord, type LayerRecord } from './layer-record.ts';

/** `directory` holds `fs`. One wait for the disk for the whole layer: syncing thousands of small files one by one takes seconds. */
export function commitLayer(directory: string, record: LayerRecord): void {
  writeFileSync(join(directory, 'layer.json'), encodeLayerRecord(record), { mode: 0o600 });
  const fd = openSync(directory, 'r');
  try {
    syncFileSystem(fd);
  } finally {
    closeSync(fd);
  }
}
