/**
 * How an image was made, as a SLSA provenance predicate (https://slsa.dev/spec/v1.0/provenance). No times and no names of machines: the same build says the same, so that images with
 * provenance are reproducible too. Values of build arguments are in it with `max` only; secrets never, not even their ids' contents.
 */
import type { Digest } from '../../base/brand.ts';

export const provenancePredicateType = 'https://slsa.dev/provenance/v1';

export interface ProvenanceInput {
  readonly mode: 'min' | 'max';
  /** `gantry/0.1.0` */
  readonly builder: string;
  /** Where the context came from when others can fetch it too: a git or web address; null: a folder of the client. */
  readonly source: { readonly uri: string; readonly digest: { readonly sha1: string } | { readonly sha256: string } } | null;
  readonly dockerfilePath: string;
  readonly dockerfile: string;
  readonly target: string | null;
  readonly buildArguments: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  /** Ids that RUNs mount. */
  readonly secrets: readonly string[];
  readonly platform: string;
  readonly images: readonly { readonly reference: string; readonly platform: string; readonly digest: Digest }[];
  readonly downloads: readonly { readonly uri: string; readonly digest: { readonly sha1: string } | { readonly sha256: string } }[];
  /** In the order of the file. */
  readonly steps: readonly { readonly name: string; readonly diffId: string | null }[];
}

export function provenancePredicate(input: ProvenanceInput): object {
  const { mode, builder, source, platform, images, downloads } = input;
  return {
    buildDefinition: {
      buildType: 'urn:gantry:build:v1',
      externalParameters: {
        configSource: source === null ? { path: input.dockerfilePath } : { ...source, path: input.dockerfilePath },
        request: requestOf(input),
      },
      internalParameters: {
        builderPlatform: platform,
        ...(mode === 'max' ? { dockerfile: Buffer.from(input.dockerfile).toString('base64'), steps: input.steps } : {}),
      },
      resolvedDependencies: [
        ...(source === null ? [] : [source]),
        ...images.map((image) => ({ uri: imageUrl(image), digest: { sha256: image.digest.replace(/^sha256:/, '') } })),
        ...downloads,
      ],
    },
    runDetails: { builder: { id: builder }, metadata: {} },
  };
}

function requestOf({ mode, target, buildArguments, labels, secrets }: ProvenanceInput): object {
  const entries = (map: ReadonlyMap<string, string>) => Object.fromEntries([...map].sort(([one], [other]) => (one < other ? -1 : 1)));
  return {
    frontend: 'dockerfile.v0',
    ...(target === null ? {} : { target }),
    ...(mode === 'max' ? { buildArguments: entries(buildArguments), labels: entries(labels) } : {}),
    ...(secrets.length === 0 ? {} : { secrets: [...secrets].sort().map((id) => ({ id })) }),
  };
}

/** `pkg:docker/library/busybox@1.36?platform=linux%2Famd64`, as BuildKit names base images. */
function imageUrl({ reference, platform }: { readonly reference: string; readonly platform: string }): string {
  const [, name = reference, tag = 'latest'] = /^(.*?)(?::([^/:@]+))?(?:@.*)?$/.exec(reference) ?? [];
  return `pkg:docker/${name.replace(/^docker\.io\//, '')}@${encodeURIComponent(tag)}?platform=${encodeURIComponent(platform)}`;
}
