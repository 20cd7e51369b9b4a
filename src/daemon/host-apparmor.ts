/** Loads the profile of containers into a kernel that has AppArmor, at every start: the profile may be of an older build. */
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type HostFacts, readHostFacts } from '../containers/host-facts.ts';
import { appArmorParser, hasAppArmor, loadAppArmorProfile } from '../linux/apparmor.ts';
import { appArmorProfile, appArmorProfileName } from '../runtime/apparmor-profile.ts';

export async function hostWithAppArmor(logger: Logger): Promise<{ readonly host: HostFacts; readonly warnings: readonly string[] }> {
  const host = readHostFacts();
  if (!hasAppArmor()) return { host, warnings: [] };
  const problem = await loadOwn();
  if (problem === null) return { host: { ...host, appArmor: { defaultProfile: appArmorProfileName } }, warnings: [] };
  const text = `containers run without an AppArmor profile: ${problem}`;
  logger.warn({ profile: appArmorProfileName }, text);
  return { host: { ...host, appArmor: { defaultProfile: null } }, warnings: [`WARNING: ${text}`] };
}

/** What is in the way; null: it is loaded. */
async function loadOwn(): Promise<string | null> {
  const parser = appArmorParser();
  if (parser === null) return 'there is no apparmor_parser to load it with (apt-get install apparmor)';
  try {
    await loadAppArmorProfile(parser, appArmorProfile);
    return null;
  } catch (error) {
    return errorText(error);
  }
}
