/**
 * Which platforms' programs run on this machine: its own, those that its processor runs as well, and those that a handler of binfmt_misc is registered for. A handler is told by
 * the machine number that its magic has, whatever it is called.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { formatPlatform, type Platform } from '../../oci/platform.ts';

const handlersDirectory = '/proc/sys/fs/binfmt_misc';

/** ELF's `e_machine`, in the bytes of its file. */
const machines: Readonly<Record<string, string>> = {
  amd64: '3e00',
  '386': '0300',
  arm64: 'b700',
  arm: '2800',
  riscv64: 'f300',
  ppc64le: '1500',
  s390x: '0016',
  loong64: '0201',
  mips64le: '0800',
};

/** Processors run these too. */
const alsoRun: Readonly<Record<string, readonly string[]>> = { amd64: ['386'], arm64: [] };

const ownArchitecture = arch() === 'arm64' ? 'arm64' : 'amd64';

/** Null: they run. */
export function whyNotPlatform(platform: Platform, handlers = handlersDirectory, own = ownArchitecture): string | null {
  const name = formatPlatform(platform);
  if (platform.os !== 'linux') return `${name} cannot be built here: build steps run on Linux only`;
  if (platform.architecture === own || alsoRun[own]?.includes(platform.architecture) === true) return null;
  const machine = machines[platform.architecture];
  const registered = readHandlers(handlers);
  const install = 'install one that works inside containers: apt-get install qemu-user-static binfmt-support';
  if (registered === null)
    return `${name} cannot run on this ${own} machine: binfmt_misc is not mounted (mount -t binfmt_misc none ${handlersDirectory}); then ${install}`;
  const found = registered.filter((handler) => handler.machine !== null && handler.machine === machine);
  if (found.some(({ flags }) => flags.includes('F'))) return null;
  const [unusable] = found;
  if (unusable !== undefined)
    return `${name} cannot run on this ${own} machine: the handler ${unusable.name} of binfmt_misc is registered without the flag F, so its interpreter is not there inside a build; ${install}`;
  return `${name} cannot run on this ${own} machine: no handler of binfmt_misc is registered for it; ${install}`;
}

interface Handler {
  readonly name: string;
  readonly flags: string;
  /** Null: it is not for ELF files. */
  readonly machine: string | null;
}

function readHandlers(directory: string): readonly Handler[] | null {
  try {
    const names = readdirSync(directory);
    if (!names.includes('status') || !isEnabled(join(directory, 'status'))) return null;
    return names.flatMap((name) => (name === 'status' || name === 'register' ? [] : (readHandler(directory, name) ?? [])));
  } catch {
    return null;
  }
}

function isEnabled(path: string): boolean {
  return readFileSync(path, 'utf8').startsWith('enabled');
}

/** Of one that is switched off: null. */
function readHandler(directory: string, name: string): Handler | null {
  const text = readFileSync(join(directory, name), 'utf8');
  if (!text.startsWith('enabled')) return null;
  const flags = /^flags: (.*)$/m.exec(text)?.[1] ?? '';
  const magic = /^magic ([0-9a-f]+)$/m.exec(text)?.[1] ?? '';
  const offset = Number(/^offset (\d+)$/m.exec(text)?.[1] ?? 0);
  const isElf = offset === 0 && magic.startsWith('7f454c46');
  return { name, flags, machine: isElf ? magic.slice(36, 40) : null };
}
