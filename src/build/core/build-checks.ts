/** The build checks of one build, as warnings: those that the file alone shows, and those that need what its images turned out to be. */
import { IgnorePatterns } from '../../archive/ignore-patterns.ts';
import { invalid } from '../../base/errors.ts';
import { selects } from '../../dockerfile/check-options.ts';
import { rules, runChecks } from '../../dockerfile/checks/run-checks.ts';
import type { Dockerfile } from '../../dockerfile/parse-dockerfile.ts';
import type { BuildSettings } from '../../dockerfile/scope.ts';
import type { Place } from '../../dockerfile/source-range.ts';
import type { ImageStore } from '../../images/image-store.ts';
import { formatPlatform, runsOn } from '../../oci/platform.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { BuildWarning } from '../build-event.ts';
import type { FoundImage } from './base-images.ts';
import type { DockerfileSource } from './dockerfile-source.ts';

export interface CheckedFile {
  readonly warnings: readonly BuildWarning[];
  /** The author wants them to fail the build. */
  readonly areErrors: boolean;
}

export function checkDockerfile(
  dockerfile: Dockerfile,
  source: DockerfileSource,
  settings: BuildSettings,
  { records }: Pick<ImageStore, 'records'>,
): CheckedFile {
  const environmentOf = (image: string) => {
    const key = keyOf(image);
    const entry = key === null ? undefined : records.reference(key);
    const config = entry && records.get(entry.id)?.config.config;
    return config ? environmentMap(config.Env ?? []) : null;
  };
  const { warnings, areErrors } = runChecks({ dockerfile, settings, isIgnored: ignoredBy(source.ignoreFile), environmentOf });
  return { warnings: warnings.map(({ rule, message, place }) => warningOf(rule, message, place, source.vertex)), areErrors };
}

/** One front end serves all: a file that asks for another one is told so. */
export function otherFrontEnd({ directives }: Dockerfile, source: DockerfileSource, given: string | undefined): BuildWarning | null {
  const asked = (given ?? directives.syntax?.value ?? '').trim().split(/\s/, 1)[0] ?? '';
  if (asked === '' || /^(docker\.io\/)?docker\/dockerfile(-upstream)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$/.test(asked)) return null;
  const line = given === undefined ? (directives.syntax?.line ?? null) : null;
  return {
    rule: '',
    short: `the front end ${asked} is not used: the Dockerfile is read by the one that is built in`,
    detail: 'What docker/dockerfile understands is understood; other languages are not.',
    url: '',
    place: line === null ? null : { startLine: line, endLine: line },
    vertex: source.vertex,
  };
}

/** An image that says it is made for another machine than it is used for. */
export function checkBaseImages(
  dockerfile: Dockerfile,
  source: DockerfileSource,
  images: readonly FoundImage[],
  place: (image: FoundImage) => Place | null,
): readonly BuildWarning[] {
  const rule = 'InvalidBaseImagePlatform';
  if (selects(dockerfile.directives.check.skip, rule)) return [];
  return images
    .filter(({ config, platform }) => !runsOn(config, platform))
    .map((image) => {
      const { reference, config, platform } = image;
      const message = `Base image ${reference} was pulled with platform "${formatPlatform(config)}", expected "${formatPlatform(platform)}" for current build`;
      return warningOf(rule, message, place(image), source.vertex);
    });
}

/** Those of the build itself violate nothing. */
export function refuseViolations(warnings: readonly BuildWarning[]): void {
  const names = [...new Set(warnings.flatMap(({ rule }) => (rule === '' ? [] : rule)))];
  if (names.length === 0) return;
  throw invalid(`lint violation found for rules: ${names.join(', ')}`);
}

const platformRule = 'The base image is made for the platform that is built';

function warningOf(rule: string, message: string, place: Place | null, vertex: string): BuildWarning {
  return {
    rule,
    short: place === null ? `${rule}: ${message}` : `${rule}: ${message} (line ${place.startLine})`,
    detail: rules.find(({ name }) => name === rule)?.description ?? platformRule,
    url: `https://docs.docker.com/go/dockerfile/rule/${rule.replace(/(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-').toLowerCase()}/`,
    place,
    vertex,
  };
}

/** Null: with a `!` nobody can say of a folder, and BuildKit says nothing. */
function ignoredBy(ignoreFile: string | null): ((path: string) => boolean) | null {
  if (ignoreFile === null) return null;
  const patterns = IgnorePatterns.parse(ignoreFile);
  if (patterns.takesBackIn || patterns.isEmpty) return null;
  return (path) => {
    let state = patterns.rootState;
    let ignored = false;
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    for (const [index] of parts.entries()) ({ ignored, state } = patterns.look(parts.slice(0, index + 1).join('/'), state));
    return ignored;
  };
}

function keyOf(image: string): string | null {
  try {
    return canonicalReference(withDefaultTag(parseReference(image)));
  } catch {
    return null;
  }
}

function environmentMap(entries: readonly string[]): ReadonlyMap<string, string> {
  return new Map(entries.map((each) => [each.slice(0, Math.max(0, each.indexOf('='))), each.slice(each.indexOf('=') + 1)]));
}
