/** `commit`: what a container changed becomes a layer on its image. Its processes stand still only while the changes are read. */
import type { ImageId } from '../../base/brand.ts';
import { errorText } from '../../base/errors.ts';
import { applyChanges } from '../../images/changes.ts';
import type { ImageRunConfig } from '../../oci/image-config.ts';
import type { ContainerConfig } from '../config.ts';
import type { Container } from '../container.ts';
import type { ContainerContext } from '../container-context.ts';
import type { CommitOptions } from '../containers.ts';
import { mergeImageConfig } from '../merge-image-config.ts';
import { isPaused, pauseContainer, unpauseContainer } from '../pause-container.ts';
import { archiveOf } from './copy-files.ts';
import { layersBelow, refuseGoing } from './open-root.ts';

export async function commitContainer(context: ContainerContext, container: Container, options: CommitOptions): Promise<ImageId> {
  refuseGoing(container);
  const { record, config } = container;
  const committed = committedConfig(config, options);
  const id = await context.images.commit(
    {
      base: record.imageId,
      containerId: container.id,
      createdBy: (config.Cmd ?? []).join(' '),
      author: options.author,
      comment: options.comment,
      config: committed,
      layer: () => readChanges(context, container, options.pause),
    },
    options.image,
  );
  context.events.emit('commit', container, { comment: options.comment, imageID: id, imageRef: options.image ?? '' });
  return id;
}

async function readChanges(context: ContainerContext, container: Container, pause: boolean) {
  const lowers = await layersBelow(context, container);
  const root = context.layers.rootAttributes(container.record.layers);
  const pauses = pause && container.state.status === 'running' && !isPaused(container);
  if (pauses) await pauseContainer(context, container);
  const { tar, closed, outcome } = archiveOf<boolean>((writeEnd) => ({
    kind: 'layer',
    upper: container.paths.upper,
    lowers,
    root,
    writeEnd,
  }));
  if (pauses) void closed.then(() => unpause(context, container));
  return { tar, changed: outcome };
}

/** It may have ended, or somebody else have unpaused it. */
async function unpause(context: ContainerContext, container: Container): Promise<void> {
  if (!isPaused(container)) return;
  try {
    await unpauseContainer(context, container);
  } catch (error) {
    context.logger.warn({ container: container.id, error: errorText(error) }, 'cannot unpause a container after its commit');
  }
}

/** The one asked for, or the container's; then the changes; what is missing is the container's again. Exported for its test. */
export function committedConfig(own: ContainerConfig, { config, changes }: Pick<CommitOptions, 'config' | 'changes'>): ImageRunConfig {
  const base = config ?? own;
  const changed = applyChanges(runConfigOf(base), changes);
  const { Cmd = null, Entrypoint = null, Env = [], Labels = {}, ...rest } = changed;
  const given = {
    ...rest,
    Cmd: Cmd === null ? null : [...Cmd],
    Entrypoint: Entrypoint === null ? null : [...Entrypoint],
    Env: [...Env],
    Labels: { ...Labels },
  } as ContainerConfig;
  return runConfigOf(mergeImageConfig(given, runConfigOf(own)));
}

/** Without what is null or empty text: an image's config leaves such fields out. */
function runConfigOf(config: ContainerConfig): ImageRunConfig {
  const { Env, Labels, ...rest } = config;
  const there = Object.entries(rest).filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false);
  return { ...Object.fromEntries(there), Env, ...(Object.keys(Labels).length === 0 ? {} : { Labels }) };
}
