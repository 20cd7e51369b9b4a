/** How much a container wrote: the sizes of what lies in its upper directory, each file once however many names it has. By descriptors, in a worker thread. */
import { EngineError } from '../base/errors.ts';
import { fileThreads } from './files/file-threads.ts';

/** 0: there is no such directory. */
export async function directorySize(path: string): Promise<number> {
  try {
    return await fileThreads.looks.run<number>({ kind: 'size', path });
  } catch (error) {
    if (error instanceof EngineError && error.details.errnoName === 'ENOENT') return 0;
    throw error;
  }
}
