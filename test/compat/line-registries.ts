/** The registries that registry-lines.ts speaks of: Debian's, on the loopback of one side, under names that tests of both sides can share. */
import { debianRegistryMissing, type RegistryProcess, startDebianRegistry } from '../harness/registry-process.ts';

export interface LineRegistries {
  readonly env: Readonly<Record<'R' | 'RA' | 'RD' | 'IN', string>>;
  dispose(): Promise<void>;
}

/** alice, wonder */
const htpasswd = 'alice:$2b$05$abcdefghijklmnopqrstuuLZNkQ1VL/QsuI/EN8Qq4Ia5232KBp7m\n';

/** `wrapper`: enters the network that they shall be in. */
export async function startLineRegistries(wrapper: readonly string[]): Promise<LineRegistries> {
  if (debianRegistryMissing() !== null) throw new Error(`the lines on registries: ${debianRegistryMissing()}`);
  const [open, closed] = await Promise.all([startDebianRegistry({ wrapper }), startDebianRegistry({ wrapper, htpasswd })]);
  const named = ({ host }: RegistryProcess): string => host.replace('127.0.0.1', 'localhost');
  return {
    // Port 9 is that of `discard`, which nobody serves any more.
    env: { R: named(open), RA: named(closed), RD: 'localhost:9', IN: wrapper.join(' ') },
    dispose: async () => void (await Promise.all([open.dispose(), closed.dispose()])),
  };
}

/** Ports differ from side to side, and so does how each engine writes a manifest. */
export function maskRegistries(text: string, { env }: LineRegistries): string {
  return text
    .replaceAll(env.RA, '<registry-with-passwords>')
    .replaceAll(env.R, '<registry>')
    .replace(/\bsize: \d+$/gm, 'size: <size>');
}
