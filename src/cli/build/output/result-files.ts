/** `--iidfile` and `--metadata-file`, as buildx writes them. */
import { accessSync, constants, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { BuildResult } from '../../../client/build-types.ts';
import { CliError } from '../../cli-error.ts';
import { fileErrorText } from '../../file-error.ts';

export interface ResultFiles {
  readonly idFile: string | null;
  readonly metadataFile: string | null;
}

/** Before anything is built: an old ID must not be taken for that of a build that failed. */
export function prepareResultFiles({ idFile, metadataFile }: ResultFiles, cwd: string): void {
  for (const path of [idFile, metadataFile]) {
    if (path === null) continue;
    writing(path, () => accessSync(dirname(resolve(cwd, path)), constants.W_OK));
  }
  if (idFile !== null) writing(idFile, () => rmSync(resolve(cwd, idFile), { force: true }));
}

/** What names the result: the image's ID, or the digest of an index. Null: it is no image. */
export function resultId({ configDigest, digest, imageId }: BuildResult): string | null {
  return configDigest ?? digest ?? imageId;
}

export function writeResultFiles({ idFile, metadataFile }: ResultFiles, result: BuildResult, id: string, cwd: string): void {
  const name = resultId(result);
  if (idFile !== null && name !== null) writing(idFile, () => writeFileSync(resolve(cwd, idFile), name));
  if (metadataFile !== null)
    writing(metadataFile, () => writeFileSync(resolve(cwd, metadataFile), `${JSON.stringify(metadata(result, id), null, 2)}\n`));
}

function metadata(result: BuildResult, id: string): Readonly<Record<string, unknown>> {
  const { provenance, configDigest, digest, mediaType, sizeBytes, names } = result;
  return {
    ...(provenance === null || provenance === undefined ? {} : { 'buildx.build.provenance': provenance }),
    'buildx.build.ref': `default/default/${id}`,
    ...(configDigest === null ? {} : { 'containerimage.config.digest': configDigest }),
    ...(digest === null ? {} : { 'containerimage.descriptor': { mediaType, digest, size: sizeBytes }, 'containerimage.digest': digest }),
    ...(names.length === 0 ? {} : { 'image.name': names.join(',') }),
  };
}

function writing(path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new CliError(`cannot write ${path}: ${fileErrorText(error)}`, 1, { cause: error });
  }
}
