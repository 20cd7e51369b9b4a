/** `--security-opt apparmor=…`: which profile a container's processes get. Pure. */
import { invalid } from '../base/errors.ts';
import { appArmorProfileName } from '../runtime/apparmor-profile.ts';
import type { HostConfig } from './config.ts';
import type { HostFacts } from './host-facts.ts';
import { parseSecurityOptions } from './security-options.ts';

type Asked = Pick<HostConfig, 'SecurityOpt' | 'Privileged'>;

/** Null: none. Our own counts as `docker-default` for those who ask for that. */
export function appArmorProfileOf(
  { SecurityOpt: options, Privileged: privileged }: Asked,
  { appArmor }: Pick<HostFacts, 'appArmor'>,
): string | null {
  const { appArmor: asked } = parseSecurityOptions(options ?? []);
  if (asked === 'unconfined' || appArmor === undefined) return null;
  if (asked === null) return privileged ? null : appArmor.defaultProfile;
  return asked === 'docker-default' ? appArmorProfileName : asked;
}

/** What the kernel cannot keep is refused, not forgotten. */
export function checkAppArmor({ SecurityOpt: options }: Asked, { appArmor }: Pick<HostFacts, 'appArmor'>): void {
  const { appArmor: asked } = parseSecurityOptions(options ?? []);
  if (asked === null || asked === 'unconfined') return;
  if (appArmor === undefined) {
    throw invalid(
      `--security-opt apparmor=${asked}: this kernel has no AppArmor, or it is switched off. Leave the option out, or use apparmor=unconfined`,
    );
  }
  if (/[\s\0]/.test(asked)) throw invalid(`--security-opt apparmor=${asked}: a profile's name has no blanks`);
}
