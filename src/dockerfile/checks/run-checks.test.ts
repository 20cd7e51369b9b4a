import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDockerfile } from '../parse-dockerfile.ts';
import { runChecks } from './run-checks.ts';

const amd64 = { os: 'linux', architecture: 'amd64' };

function check(source: string, { given = {}, ignored = [] }: { given?: Record<string, string>; ignored?: readonly string[] } = {}) {
  return runChecks({
    dockerfile: parseDockerfile(source),
    settings: { buildArguments: new Map(Object.entries(given)), targetPlatform: amd64, buildPlatform: amd64, target: null },
    isIgnored: (path) => ignored.includes(path),
    environmentOf: () => null,
  });
}

/** source → `Rule:line`, in order */
const cases: readonly (readonly [string, readonly string[]])[] = [
  ['FROM a AS Web', ['StageNameCasing:1']],
  ['FROM a as b', ['FromAsCasing:1']],
  ['from a as b', []],
  ['FROM scratch\nENV A=1 \\\n\n B=2', ['NoEmptyContinuation:3']],
  ['FROM scratch\nRun x\nUSER a', ['ConsistentInstructionCasing:2']],
  ['from scratch\nrun x\nUSER a', ['ConsistentInstructionCasing:3']],
  ['FROM scratch AS a\nFROM scratch AS a', ['DuplicateStageName:2']],
  ['FROM a AS scratch', ['ReservedStageName:1']],
  ["FROM scratch\nCMD ['a']", ['JSONArgsRecommended:2']],
  ['FROM scratch\nSHELL ["/bin/bash","-ec"]\nCMD x y', []],
  ['FROM scratch AS s\nSHELL ["/bin/bash"]\nFROM s\nCMD x', []],
  ['FROM scratch\nMAINTAINER me', ['MaintainerDeprecated:2']],
  ['ARG TAG=1\nFROM a:$TAGG', ['UndefinedArgInFrom:2', 'InvalidDefaultArgInFrom:2']],
  ['FROM a:$TARGETARCH', []],
  ['FROM scratch\nLABEL a=$V\nARG V\nLABEL b=$V', ['UndefinedVar:2']],
  ['FROM scratch\nLABEL a=${V:-x} b=$PATH', []],
  ['FROM node\nLABEL a=$NODE_VERSION', []],
  ['FROM node\nARG VERSION=1\nLABEL a=$VERSON', ['UndefinedVar:3']],
  ['FROM scratch\nWORKDIR a\nWORKDIR ../b', ['WorkdirRelativePath:2']],
  ['FROM scratch AS s\nWORKDIR /a\nFROM s\nWORKDIR b', []],
  ['FROM scratch\nCMD ["a"]\nCMD []', ['MultipleInstructionsDisallowed:2']],
  ['FROM scratch\nENV A B', ['LegacyKeyValueFormat:2']],
  ['FROM --platform=$TARGETPLATFORM a', ['RedundantTargetPlatform:1']],
  ['FROM --platform=linux/amd64 a', ['FromPlatformFlagConstDisallowed:1']],
  ['FROM --platform=linux/amd64 a AS build_amd64', []],
  ['FROM scratch\nARG MY_PASSWORD\nENV TOKEN_FILE=x', ['SecretsUsedInArgOrEnv:2']],
  ['ARG T\nFROM a:$T', ['InvalidDefaultArgInFrom:2']],
  ['FROM scratch\nEXPOSE 80/TCP 8080:80', ['ExposeProtoCasing:2', 'ExposeInvalidFormat:2']],
  ['FROM scratch\nCOPY hidden /x', ['CopyIgnoredFile:2']],
  ['# check=skip=StageNameCasing\nFROM a AS Web', []],
  ['# check=skip=all\nFROM a AS Web', []],
  ['# check=experimental=all\n# who\nFROM a AS web', ['InvalidDefinitionDescription:3']],
  ['# who\nFROM a AS web', []],
  ['FROM scratch\n# check=skip=UndefinedVar\nLABEL a=$V\nLABEL b=$V', ['UndefinedVar:4']],
];

for (const [source, expected] of cases) {
  test(`runChecks ${JSON.stringify(source)}`, () => {
    const { warnings } = check(source, { ignored: ['hidden'] });
    assert.deepEqual(
      warnings.map(({ rule, place }) => `${rule}:${place.startLine}`),
      expected,
    );
  });
}

test('runChecks: build arguments count, and one of them takes the place of the directive', () => {
  assert.deepEqual(check('FROM scratch\nARG V\nLABEL a=$V', { given: { V: '1' } }).warnings, []);
  const { warnings, areErrors } = check('# check=skip=all\nFROM a AS Web', { given: { BUILDKIT_DOCKERFILE_CHECK: 'error=true' } });
  assert.deepEqual([warnings.length, areErrors], [1, true]);
});
