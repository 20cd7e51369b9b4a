/** What the API stands on; the daemon builds these and hands them in. */
import type { ImageId } from '../base/brand.ts';
import type { Logger } from '../base/log.ts';
import type { Containers } from '../containers/containers.ts';
import type { ImageCatalogue } from '../images/catalogue.ts';
import type { BuiltinNetwork } from './builtin-networks.ts';
import type { EngineEvents } from './engine-events.ts';
import type { SystemFacts } from './system-facts.ts';

export interface ApiServices {
  readonly containers: Containers;
  readonly images: ImageCatalogue;
  readonly embedded: EmbeddedImages;
  readonly events: EngineEvents;
  readonly system: SystemFacts;
  readonly networks: readonly BuiltinNetwork[];
  readonly logger: Logger;
}

/** Images that came with the program and are loaded when first asked for. */
export interface EmbeddedImages {
  has(reference: string): boolean;
  ensure(reference: string): Promise<ImageId>;
}
