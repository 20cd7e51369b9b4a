/** Packages as an SPDX 2.3 document (https://spdx.github.io/spdx-spec/v2.3/). The same packages give the same bytes: the name space is their digest, the time is the build's epoch. */
import { createHash } from 'node:crypto';
import type { FoundPackage } from './found-package.ts';

export const spdxPredicateType = 'https://spdx.dev/Document';

export interface SpdxSubject {
  /** Of the image. */
  readonly name: string;
  /** Seconds since 1970. */
  readonly epoch: number;
  /** `gantry-0.1.0` */
  readonly tool: string;
}

export function spdxDocument(packages: readonly FoundPackage[], { name, epoch, tool }: SpdxSubject): object {
  const root = { ...packageShape('SPDXRef-Image', name), primaryPackagePurpose: 'CONTAINER' };
  const entries = packages.map(packageEntry);
  const digest = createHash('sha256')
    .update(JSON.stringify([name, entries]))
    .digest('hex');
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name,
    documentNamespace: `urn:gantry:sbom:sha256:${digest}`,
    creationInfo: { created: new Date(epoch * 1000).toISOString().replace(/\.\d+Z$/, 'Z'), creators: [`Tool: ${tool}`] },
    packages: [root, ...entries],
    relationships: [
      relationship('SPDXRef-DOCUMENT', 'DESCRIBES', root.SPDXID),
      ...entries.map(({ SPDXID }) => relationship(root.SPDXID, 'CONTAINS', SPDXID)),
    ],
  };
}

function packageEntry(found: FoundPackage) {
  const { type, name, version, license, supplier, purl, path } = found;
  const short = createHash('sha256').update(`${purl} ${path}`).digest('hex').slice(0, 16);
  const declared = isLicenseExpression(license) ? license : 'NOASSERTION';
  return {
    ...packageShape(`SPDXRef-Package-${type}-${name.replace(/[^A-Za-z0-9.-]+/g, '-')}-${short}`, name),
    versionInfo: version,
    ...(supplier === '' ? {} : { supplier: `Person: ${supplier}` }),
    licenseDeclared: declared,
    ...(license !== '' && declared === 'NOASSERTION' ? { licenseComments: license } : {}),
    sourceInfo: `found in ${path}`,
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }],
  };
}

function packageShape(SPDXID: string, name: string) {
  return {
    SPDXID,
    name,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    copyrightText: 'NOASSERTION',
  };
}

/** By its form only: identifiers joined by AND, OR, WITH. Anything else would make the document invalid. */
function isLicenseExpression(text: string): boolean {
  return /^\(*[A-Za-z0-9.+-]+\)*(?: (?:AND|OR|WITH) \(*[A-Za-z0-9.+-]+\)*)*$/.test(text);
}

function relationship(spdxElementId: string, relationshipType: string, relatedSpdxElement: string) {
  return { spdxElementId, relationshipType, relatedSpdxElement };
}
