/** `--insecure`: whether a registry may be spoken to without TLS is the daemon's to say, since the daemon speaks to it. */
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';

interface RegistryInfo {
  readonly RegistryConfig?: { readonly IndexConfigs?: Readonly<Record<string, { readonly Secure?: boolean }>> | null };
}

/** Nothing to do without the flag, nor for loopback, which always is insecure. */
export async function requireInsecure({ flags, client }: CommandContext, domain: string): Promise<void> {
  if (!flags.bool('insecure') || isLoopback(domain)) return;
  const { RegistryConfig } = JSON.parse(await client.system.infoRaw()) as RegistryInfo;
  if (RegistryConfig?.IndexConfigs?.[domain]?.Secure === false) return;
  throw new CliError(
    `--insecure: the daemon does not speak to ${domain} without TLS. Put it into insecure-registries of its configuration`,
  );
}

function isLoopback(domain: string): boolean {
  const host = domain.replace(/:\d+$/, '');
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
