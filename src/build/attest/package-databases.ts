/**
 * The databases of package managers as text → the packages they tell of. What is malformed tells of none: an image may hold anything.
 *
 *     dpkg   deb822 paragraphs (dpkg(1), /var/lib/dpkg/status); only what is installed
 *     apk    paragraphs of `X:value` lines (/lib/apk/db/installed)
 *     npm    package.json
 *     pypi   headers of METADATA (Python packaging, core metadata)
 */
import { type FoundPackage, packageUrl } from './found-package.ts';

/** From /etc/os-release; empty parts: it is not said. */
export interface Distribution {
  readonly id: string;
  readonly version: string;
}

export function parseOsRelease(text: string): Distribution {
  const values = new Map(
    text.split('\n').flatMap((line) => {
      const match = /^([A-Z_]+)=(?:"([^"]*)"|'([^']*)'|(.*))$/.exec(line.trim());
      return match === null ? [] : [[match[1] ?? '', match[2] ?? match[3] ?? match[4] ?? ''] as const];
    }),
  );
  return { id: values.get('ID') ?? '', version: values.get('VERSION_ID') ?? '' };
}

export function dpkgPackages(text: string, path: string, distribution: Distribution): readonly FoundPackage[] {
  return paragraphs(text).flatMap((paragraph) => {
    const fields = deb822Fields(paragraph);
    const [name = '', version = ''] = [fields.get('package'), fields.get('version')];
    const status = fields.get('status') ?? 'install ok installed';
    if (name === '' || version === '' || !status.endsWith(' installed')) return [];
    const qualifiers = { arch: fields.get('architecture') ?? '', distro: distroOf(distribution) };
    return [
      {
        type: 'deb',
        name,
        version,
        license: '',
        supplier: fields.get('maintainer') ?? '',
        purl: packageUrl('deb', distribution.id || 'debian', name, version, qualifiers),
        path,
      },
    ];
  });
}

export function apkPackages(text: string, path: string, distribution: Distribution): readonly FoundPackage[] {
  return paragraphs(text).flatMap((paragraph) => {
    // Lines of files follow those of the package, with letters of their own.
    const fields = new Map(paragraph.split('\n').map((line) => [line.slice(0, 2), line.slice(2)] as const));
    const [name = '', version = ''] = [fields.get('P:'), fields.get('V:')];
    if (name === '' || version === '') return [];
    const qualifiers = { arch: fields.get('A:') ?? '', distro: distroOf(distribution) };
    const purl = packageUrl('apk', distribution.id || 'alpine', name, version, qualifiers);
    return [{ type: 'apk', name, version, license: fields.get('L:') ?? '', supplier: fields.get('m:') ?? '', purl, path }];
  });
}

/** Null: it is no package's (a `package.json` may be anything). */
export function npmPackage(text: string, path: string): FoundPackage | null {
  const document = jsonObject(text);
  const [name, version] = [document?.name, document?.version];
  if (typeof name !== 'string' || typeof version !== 'string' || name === '' || version === '') return null;
  const { license, author } = document as { readonly license?: unknown; readonly author?: unknown };
  const slash = name.startsWith('@') ? name.indexOf('/') : -1;
  return {
    type: 'npm',
    name,
    version,
    license: typeof license === 'string' ? license : '',
    supplier: typeof author === 'string' ? author : nameOf(author),
    purl: packageUrl('npm', slash === -1 ? '' : name.slice(0, slash), name.slice(slash + 1), version),
    path,
  };
}

export function pythonPackage(text: string, path: string): FoundPackage | null {
  const fields = deb822Fields(text.split(/\r?\n\r?\n/, 1)[0] ?? '');
  const [name = '', version = ''] = [fields.get('name'), fields.get('version')];
  if (name === '' || version === '') return null;
  const license = fields.get('license-expression') ?? fields.get('license') ?? '';
  // https://packaging.python.org: one spelling for all.
  const normal = name.toLowerCase().replace(/[-_.]+/g, '-');
  return {
    type: 'pypi',
    name,
    version,
    license: license === 'UNKNOWN' ? '' : license,
    supplier: fields.get('author') ?? '',
    purl: packageUrl('pypi', '', normal, version),
    path,
  };
}

function paragraphs(text: string): readonly string[] {
  return text.split(/\n(?:[ \t]*\n)+/);
}

/** Names in lower case; lines that go on (they start with a blank) are left out: nothing here needs them. */
function deb822Fields(paragraph: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of paragraph.split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0 || /^\s/.test(line)) continue;
    const name = line.slice(0, colon).toLowerCase();
    if (!fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  return fields;
}

function distroOf({ id, version }: Distribution): string {
  return [id, version].filter((part) => part !== '').join('-');
}

function jsonObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function nameOf(person: unknown): string {
  const name = typeof person === 'object' && person !== null ? (person as { readonly name?: unknown }).name : undefined;
  return typeof name === 'string' ? name : '';
}
