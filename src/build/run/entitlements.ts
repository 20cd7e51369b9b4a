/** What a RUN may only do when it was allowed for its build (`--allow`): nobody who writes a Dockerfile can allow it. */
import { EngineError } from '../../base/errors.ts';
import type { RunOperation } from '../plan/operation.ts';
import type { FoundDevice } from './step-executor.ts';

/** Throws for the first one that is missing. Asked before anything of the RUN is prepared (CVE-2024-23653). */
export function requireEntitlements(operation: RunOperation, settings: { readonly network: string }, given: ReadonlySet<string>): void {
  for (const entitlement of neededEntitlements(operation, settings)) if (!given.has(entitlement)) throw notAllowed(entitlement);
}

/** `settings.network`: what the build asks for its RUNs, which counts where the RUN says nothing. */
export function neededEntitlements(
  { network, security }: Pick<RunOperation, 'network' | 'security'>,
  settings: { readonly network: string },
): readonly string[] {
  const isHostNetwork = network === 'host' || (network === 'default' && settings.network === 'host');
  return [...(isHostNetwork ? ['network.host'] : []), ...(security === 'insecure' ? ['security.insecure'] : [])];
}

/** `device` allows all; `device=NAME` what is called so, was asked for in these words, or (`vendor.com/class=*`) is of the kind. Asked as early as the others. */
export function requireDevices(devices: readonly FoundDevice[], given: ReadonlySet<string>): void {
  if (given.has('device')) return;
  const isGiven = ({ name, word }: FoundDevice): boolean =>
    [name, word, `${name.split('=', 1)[0]}=*`].some((allowed) => given.has(`device=${allowed}`));
  const forbidden = devices.filter((device) => !device.isOpen && !isGiven(device)).map(({ name }) => name);
  const [first] = forbidden;
  if (first === undefined) return;
  if (first.startsWith('/')) throw notAllowed('device');
  const what = forbidden.length === 1 ? `device ${first} is` : `devices ${forbidden.join(', ')} are`;
  throw new EngineError(
    'forbidden',
    `${what} requested by the build but not allowed: allow it for this build with --allow device, or --allow device=${first}`,
  );
}

function notAllowed(entitlement: string): EngineError {
  return new EngineError('forbidden', `entitlement ${entitlement} is not allowed: allow it for this build with --allow ${entitlement}`);
}
