/** Versions of the Container Device Interface, oldest first, as SPEC.md lists them. Those before 0.3.0 were never released with a description that is still read. */

const versions = ['0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0'] as const;

export type CdiVersion = (typeof versions)[number];

export const newestCdiVersion: CdiVersion = '1.1.0';

/** With or without a `v` in front; null: not one of them. */
export function knownCdiVersion(text: string): CdiVersion | null {
  const plain = text.replace(/^v/, '');
  return versions.find((version) => version === plain) ?? null;
}

export function isOlder(version: CdiVersion, than: CdiVersion): boolean {
  return versions.indexOf(version) < versions.indexOf(than);
}

export function cdiVersionsText(): string {
  return `${versions[0]} to ${newestCdiVersion}`;
}
