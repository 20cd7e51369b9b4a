/** What is said about an image beside it, when it is asked for: how it was built (provenance), what is in it (SBOM). Nothing of it reads a clock. */
import { isAbsolute, join } from 'node:path';
import { formatPlatform, type Platform } from '../../oci/platform.ts';
import type { LayerStore } from '../../store/layer-store.ts';
import type { PackageThreads } from '../attest/package-threads.ts';
import { provenancePredicate, provenancePredicateType } from '../attest/provenance.ts';
import { spdxDocument, spdxPredicateType } from '../attest/spdx.ts';
import type { BuildRequest } from '../build-request.ts';
import type { BuiltImage } from '../output/outputs.ts';
import type { BuildPlan } from '../plan/build-plan.ts';
import { inOrder, type Operation } from '../plan/operation.ts';
import type { FoundImage } from './base-images.ts';
import type { ContextSource } from './build-contexts.ts';
import type { DockerfileSource } from './dockerfile-source.ts';
import { isLayerOperation } from './operation-work.ts';
import type { StepLog } from './step-log.ts';

export interface AttestationParts {
  readonly packages: Pick<PackageThreads, 'find'>;
  readonly layers: Pick<LayerStore, 'mountOrder'>;
  /** `0.1.0` */
  readonly version: string;
}

/** What a build knows of itself when it is solved. */
export interface BuildFacts {
  readonly request: BuildRequest;
  readonly file: DockerfileSource;
  readonly source: ContextSource | null;
  readonly downloads: readonly ContextSource[];
  readonly images: readonly FoundImage[];
  readonly host: Platform;
  readonly log: StepLog;
}

type Attestations = BuiltImage['attestations'];

export async function attestationsOf(
  image: BuiltImage,
  plan: BuildPlan,
  facts: BuildFacts,
  parts: AttestationParts,
  signal: AbortSignal,
): Promise<Attestations> {
  const provenance = provenanceOf(plan, facts, parts);
  const sbom = facts.request.sbom ? await sbomOf(image, facts, parts, signal) : null;
  return [
    ...(sbom === null ? [] : [{ predicateType: spdxPredicateType, statement: sbom }]),
    ...(provenance === null ? [] : [{ predicateType: provenancePredicateType, statement: provenance }]),
  ];
}

/** Null: it is not asked for. */
export function provenanceOf(plan: BuildPlan, facts: BuildFacts, { version }: Pick<AttestationParts, 'version'>): object | null {
  const { request, file, source, downloads, images, host, log } = facts;
  if (request.provenance === null) return null;
  const operations = inOrder([plan.result.root]);
  return provenancePredicate({
    mode: request.provenance,
    builder: `gantry/${version}`,
    source,
    dockerfilePath: file.name,
    dockerfile: file.text,
    target: request.target,
    buildArguments: request.buildArguments,
    labels: request.labels,
    secrets: [...new Set(operations.flatMap(secretsOf))],
    platform: formatPlatform(host),
    images: images.map(({ reference, platform, digest }) => ({ reference, platform: formatPlatform(platform), digest })),
    downloads,
    steps: operations.filter(isLayerOperation).map((operation) => {
      const result = log.resultOf(operation);
      const top = result?.kind === 'tree' ? result.layers.at(-1) : undefined;
      return { name: operation.step.title, diffId: top?.diffId ?? null };
    }),
  });
}

async function sbomOf(
  { tree, epoch }: BuiltImage,
  { request }: BuildFacts,
  { packages, layers, version }: AttestationParts,
  signal: AbortSignal,
): Promise<object> {
  const { base, lowers } = layers.mountOrder(tree.layers);
  const found = await packages.find(
    lowers.map((lower) => (isAbsolute(lower) ? lower : join(base, lower))),
    signal,
  );
  const name = request.outputs.flatMap(({ names }) => names)[0] ?? 'image';
  return spdxDocument(found, { name, epoch, tool: `gantry-${version}` });
}

function secretsOf(operation: Operation): readonly string[] {
  return operation.kind === 'run' ? operation.mounts.flatMap((mount) => (mount.type === 'secret' ? [mount.id] : [])) : [];
}
