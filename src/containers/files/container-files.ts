/** The verbs on containers' files, each for a container that was found already. */
import type { Readable } from 'node:stream';
import type { ImageId } from '../../base/brand.ts';
import type { Container } from '../container.ts';
import type { ContainerContext } from '../container-context.ts';
import type { CommitOptions, Containers, FileChange, PathStat, WritePathOptions } from '../containers.ts';
import { commitContainer } from './commit-container.ts';
import { exportContainer, readContainerPath, statContainerPath, writeContainerPath } from './copy-files.ts';
import { fileThreads } from './file-threads.ts';
import { layersBelow, refuseGoing } from './open-root.ts';

export class ContainerFiles {
  readonly #context: ContainerContext;

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  statPath(container: Container, reference: string, path: string): Promise<PathStat> {
    return statContainerPath(this.#context, { container, reference, path });
  }

  readPath(container: Container, reference: string, path: string): ReturnType<Containers['readPath']> {
    return readContainerPath(this.#context, { container, reference, path });
  }

  writePath(container: Container, reference: string, path: string, archive: Readable, options: WritePathOptions): Promise<void> {
    return writeContainerPath(this.#context, { container, reference, path }, archive, options);
  }

  export(container: Container): Promise<Readable> {
    return exportContainer(this.#context, container);
  }

  async changes(container: Container): Promise<readonly FileChange[]> {
    refuseGoing(container);
    const lowers = await layersBelow(this.#context, container);
    return await fileThreads.looks.run<readonly FileChange[]>({ kind: 'changes', upper: container.paths.upper, lowers });
  }

  commit(container: Container, options: CommitOptions): Promise<ImageId> {
    return commitContainer(this.#context, container, options);
  }
}
