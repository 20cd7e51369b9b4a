/** `commit`: what a container changed becomes a layer on its image. Its processes stand still only while the changes are read. */
import type { ImageId } from '../../base/brand.ts';
import { applyChanges } from '../../images/changes.ts';
import type { ImageRunConfig } from '../../oci/image-config.ts';
import { familiarReference, parseReference } from '../../oci/reference.ts';
import { endBriefPause, pauseBriefly } from '../brief-pause.ts';
import type { ContainerConfig } from '../config.ts';
import type { Container } from '../container.ts';
import type { ContainerContext } from '../container-context.ts';
import type { CommitOptions } from '../containers.ts';
import { mergeImageConfig } from '../merge-image-config.ts';
import { isPaused } from '../pause-container.ts';
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
  context.events.emit('commit', container, {
    comment: options.comment,
    imageID: id,
    imageRef: options.image === null ? '' : familiarReference(parseReference(options.image)),
  });
  return id;
}

async function readChanges(context: ContainerContext, container: Container, pause: boolean) {
  const lowers = await layersBelow(context, container);
  const root = context.layers.rootAttributes(container.record.layers);
  const pauses = pause && container.state.status === 'running' && !isPaused(container);
  if (pauses) await pauseBriefly(context, container);
  const { tar, closed, outcome } = archiveOf<boolean>(container, (writeEnd) => ({
    kind: 'layer',
    upper: container.paths.upper,
    lowers,
    root,
    writeEnd,
  }));
  if (pauses) void closed.then(() => endBriefPause(context, container));
  return { tar, changed: outcome };
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

function isNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === false) return true;
  return typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0;
}

/** Without what says nothing: an image's config leaves such fields out. */
function runConfigOf(config: ContainerConfig): ImageRunConfig {
  const { Env, Labels, ...rest } = config;
  const there = Object.entries(rest).filter(([, value]) => !isNothing(value));
  return { ...Object.fromEntries(there), Env, ...(Object.keys(Labels).length === 0 ? {} : { Labels }) };
}
