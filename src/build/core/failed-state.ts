/** What was there before a step that failed, as an image: for a shell in its place. It has the step's environment, working directory and user, and no history. */
import type { Digest } from '../../base/brand.ts';
import { mediaTypes } from '../../oci/manifest.ts';
import type { Platform } from '../../oci/platform.ts';
import type { BlobStore } from '../../store/blobs.ts';
import type { BuiltImage } from '../output/outputs.ts';
import type { BaseImage } from '../plan/build-plan.ts';
import type { Tree } from '../result.ts';
import { rfc3339 } from './built-config.ts';
import type { LayerOperation } from './operation-work.ts';

export function failedState(
  operation: LayerOperation,
  tree: Tree,
  host: Platform,
  images: readonly BaseImage[],
  blobs: Pick<BlobStore, 'sizeBytes'>,
): BuiltImage {
  const platform = operation.kind === 'run' ? operation.platform : host;
  const { os, architecture, variant } = platform;
  const known = new Map(
    images.flatMap(({ layers, descriptors }) => layers.map(({ diffId }, index) => [diffId, descriptors[index]] as const)),
  );
  return {
    platform,
    tree,
    epoch: operation.epoch,
    attestations: [],
    config: {
      created: rfc3339(operation.epoch),
      architecture,
      ...(variant === undefined ? {} : { variant }),
      os,
      config: stateConfig(operation),
      rootfs: { type: 'layers', diff_ids: tree.layers.map(({ diffId }) => diffId) },
      history: tree.layers.map(() => ({ created_by: `before ${operation.step.title}` })),
    },
    layers: tree.layers.map(({ diffId }) => {
      const digest = diffId as string as Digest;
      return known.get(diffId) ?? { mediaType: mediaTypes.ociLayer, digest, size: blobs.sizeBytes(digest) };
    }),
  };
}

function stateConfig(operation: LayerOperation): BuiltImage['config']['config'] {
  if (operation.kind !== 'run') return { WorkingDir: '/', Cmd: ['/bin/sh'] };
  const { cwd, user, environment, step } = operation;
  const [program = '/bin/sh'] = step.shell ?? [];
  return {
    ...(user === '' ? {} : { User: user }),
    Env: environment,
    WorkingDir: cwd,
    Cmd: [program],
    ...(step.shell ? { Shell: step.shell } : {}),
  };
}
