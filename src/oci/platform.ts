/** Platforms: `linux/amd64`, `linux/arm/v7`; and which entry of an index this machine takes. */
import { invalid } from '../base/errors.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly 'os.version'?: string;
}

const architectureNames: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  x64: ['amd64'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
  i386: ['386'],
  ia32: ['386'],
};

/** Variants that every machine of the architecture runs, so naming them says nothing. */
const baseVariants: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8', arm: 'v7' };

const component = /^[A-Za-z0-9_.-]+$/;

export function hostPlatform(nodeArchitecture: string = process.arch): Platform {
  return normalizePlatform({ os: 'linux', architecture: nodeArchitecture });
}

/** `os`, `architecture`, `os/architecture` or `os/architecture/variant`, as `--platform` takes them. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  if (parts.length > 3 || !parts.every((part) => component.test(part))) {
    throw invalid(`invalid platform ${JSON.stringify(text)}: use os/architecture or os/architecture/variant, for example linux/amd64`);
  }
  const [first = '', architecture, variant] = parts;
  if (architecture === undefined) {
    return first === 'linux' ? hostPlatform() : normalizePlatform({ os: 'linux', architecture: first });
  }
  return normalizePlatform({ os: first, architecture, ...(variant === undefined ? {} : { variant }) });
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/');
}

/** True when what is built for `built` runs where `host` is asked for. A missing variant is the base one. */
export function runsOn(built: Platform, host: Platform): boolean {
  const [image, machine] = [normalizePlatform(built), normalizePlatform(host)];
  if (image.os !== machine.os || image.architecture !== machine.architecture) return false;
  return variantNumber(image) <= variantNumber(machine);
}

/** The best entry for `host`: the highest variant that it runs, the first of equals; null when none runs. */
export function choosePlatform<T extends { readonly platform?: Platform }>(entries: readonly T[], host: Platform): T | null {
  let best: T | null = null;
  for (const entry of entries) {
    if (!entry.platform || !runsOn(entry.platform, host)) continue;
    if (best?.platform && variantNumber(normalizePlatform(entry.platform)) <= variantNumber(normalizePlatform(best.platform))) continue;
    best = entry;
  }
  return best;
}

export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase();
  const written = platform.architecture.toLowerCase();
  const [architecture, impliedVariant] = (Object.hasOwn(architectureNames, written) && architectureNames[written]) || [written];
  const variant = platform.variant?.toLowerCase() || impliedVariant;
  const said = variant && variant !== (architecture === 'arm' ? undefined : baseVariants[architecture]) ? { variant } : {};
  return { os, architecture, ...said, ...(platform['os.version'] ? { 'os.version': platform['os.version'] } : {}) };
}

function variantNumber(platform: Platform): number {
  const variant = platform.variant ?? baseVariants[platform.architecture] ?? 'v0';
  return Number(/^v(\d+)/.exec(variant)?.[1] ?? 0);
}
