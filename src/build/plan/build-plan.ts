/** What planning needs from outside, and what it makes. */
import type { ConfigDraft } from '../../dockerfile/apply-config.ts';
import type { Place } from '../../dockerfile/source-range.ts';
import type { ImageConfig } from '../../oci/image-config.ts';
import type { Descriptor } from '../../oci/manifest.ts';
import type { Platform } from '../../oci/platform.ts';
import type { LayerRef } from '../../store/layer-store.ts';
import type { ContextOperation, Operation } from './operation.ts';

export interface BaseImage {
  /** As it was named, for people. */
  readonly reference: string;
  readonly config: ImageConfig;
  readonly layers: readonly LayerRef[];
  /** The layers as its manifest has them, in the same order. */
  readonly descriptors: readonly Descriptor[];
}

/** A `--build-context`. */
export type NamedContext =
  | { readonly kind: 'files'; readonly operation: ContextOperation }
  | { readonly kind: 'image'; readonly reference: string };

export interface PlanSources {
  /** Resolved once per build and platform by whoever implements it. `title`: of the step that asks, `[build 1/4] FROM busybox`. */
  image(reference: string, platform: Platform, title: string): Promise<BaseImage>;
  /** Null: there is no context of that name. */
  namedContext(name: string): NamedContext | null;
}

export interface HistoryEntry {
  readonly createdBy: string;
  /** No layer belongs to it. */
  readonly empty: boolean;
}

/** What a stage comes to: its root file system, and what its image would say. */
export interface StageResult {
  readonly root: Operation;
  readonly config: ConfigDraft;
  readonly author: string | null;
  readonly platform: Platform;
  /** Seconds since 1970: what its operations clamp times to, and when the image says it was made. */
  readonly epoch: number;
  /** Null: scratch. Its history and layers come first. */
  readonly base: BaseImage | null;
  /** Of this build's own instructions, base stages of this file included. */
  readonly history: readonly HistoryEntry[];
}

/** An instruction of a stage that is built, FROM and what a base image triggers included. */
export interface PlannedStep {
  readonly text: string;
  readonly place: Place;
  /** Null: it changes the config only. */
  readonly operation: Operation | null;
}

export interface BuildPlan {
  readonly result: StageResult;
  /** In the order of the file. */
  readonly steps: readonly PlannedStep[];
  /** Expansions and instructions that will surprise; the build checks tell the rest. */
  readonly unusedArguments: readonly string[];
  /** Of the target, for messages. */
  readonly targetPlace: Place;
}
