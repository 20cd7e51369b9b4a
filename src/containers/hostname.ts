/** What a container is called inside. Pure. */
import type { ContainerId } from '../base/brand.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import type { HostFacts } from './host-facts.ts';
import { sharesWithHost } from './spec-namespaces.ts';

export interface HostnameInput {
  readonly id: ContainerId;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly host: HostFacts;
}

/** With the host's network or UTS namespace the container has the host's name; else its own, by default the start of its id. */
export function hostnameOf({ id, config, hostConfig, host }: HostnameInput): string {
  if (config.Hostname !== '') return config.Hostname;
  return sharesWithHost(hostConfig, 'uts') || sharesWithHost(hostConfig, 'network') ? host.hostname : id.slice(0, 12);
}
