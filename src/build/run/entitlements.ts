/** What a RUN may only do when it was allowed for its build (`--allow`): nobody who writes a Dockerfile can allow it. */
import { EngineError } from '../../base/errors.ts';
import type { RunOperation } from '../plan/operation.ts';

/** Throws for the first one that is missing. Asked before anything of the RUN is prepared (CVE-2024-23653). */
export function requireEntitlements(operation: RunOperation, settings: { readonly network: string }, given: ReadonlySet<string>): void {
  for (const entitlement of neededEntitlements(operation, settings)) {
    if (given.has(entitlement)) continue;
    throw new EngineError('forbidden', `entitlement ${entitlement} is not allowed: allow it for this build with --allow ${entitlement}`);
  }
}

/** `settings.network`: what the build asks for its RUNs, which counts where the RUN says nothing. */
export function neededEntitlements(
  { network, security, devices }: Pick<RunOperation, 'network' | 'security' | 'devices'>,
  settings: { readonly network: string },
): readonly string[] {
  const isHostNetwork = network === 'host' || (network === 'default' && settings.network === 'host');
  return [
    ...(isHostNetwork ? ['network.host'] : []),
    ...(security === 'insecure' ? ['security.insecure'] : []),
    ...(devices.length > 0 ? ['device'] : []),
  ];
}
