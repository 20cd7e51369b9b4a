/** A package that a database of a package manager says is installed in an image. */
export interface FoundPackage {
  readonly type: 'deb' | 'apk' | 'npm' | 'pypi';
  readonly name: string;
  readonly version: string;
  /** As the package says it; empty: it says none. */
  readonly license: string;
  /** Name, or `Name <address>`; empty: nobody is named. */
  readonly supplier: string;
  /** https://github.com/package-url/purl-spec */
  readonly purl: string;
  /** The file that tells of it. */
  readonly path: string;
}

/** The one writer of purls: parts are percent-encoded, qualifiers sorted. Empty qualifiers are left out. */
export function packageUrl(
  type: FoundPackage['type'],
  namespace: string,
  name: string,
  version: string,
  qualifiers: Readonly<Record<string, string>> = {},
): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll('%3A', ':');
  const path = [...(namespace === '' ? [] : [encode(namespace)]), encode(name)].join('/');
  const given = Object.entries(qualifiers).filter(([, value]) => value !== '');
  const query = given
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => `${key}=${encode(value)}`)
    .join('&');
  return `pkg:${type}/${path}@${encode(version)}${query === '' ? '' : `?${query}`}`;
}
