import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DockerfileError, excerpt } from './dockerfile-error.ts';
import type { Instruction, InstructionKind } from './instruction.ts';
import { parseDockerfile } from './parse-dockerfile.ts';

function instructions(source: string): readonly Instruction[] {
  return parseDockerfile(source).stages.flatMap((stage) => stage.instructions);
}

function only<K extends InstructionKind>(source: string, kind: K): Instruction & { readonly kind: K } {
  const found = instructions(source).find((instruction) => instruction.kind === kind);
  assert.ok(found, `no ${kind}`);
  return found as Instruction & { readonly kind: K };
}

function pairsOf(source: string, kind: 'env' | 'label'): readonly (readonly [string, string])[] {
  const found = instructions(source).filter((instruction) => instruction.kind === kind);
  return found.flatMap((instruction) =>
    'pairs' in instruction ? instruction.pairs.map(({ key, value }) => [key.text, value.text] as const) : [],
  );
}

function problems(source: string): DockerfileError['problems'] {
  try {
    parseDockerfile(source);
  } catch (thrown) {
    assert.ok(thrown instanceof DockerfileError, String(thrown));
    return thrown.problems;
  }
  assert.fail('it was accepted');
}

test('parseDockerfile: the escape directive changes the escape character, an unknown one before it ends the block', () => {
  assert.equal(parseDockerfile('# escape=`\nFROM scratch\n').directives.escape, '`');
  assert.equal(parseDockerfile('# foo=1\n# escape=`\nFROM scratch\n').directives.escape, '\\');
  assert.equal(parseDockerfile('\n# escape=`\nFROM scratch\n').directives.escape, '\\');
  assert.match(problems('# escape=\\\n# ESCAPE=\\\nFROM scratch')[0]?.message ?? '', /only one escape parser directive can be used/);
  assert.match(problems('# escape=x\nFROM scratch')[0]?.message ?? '', /invalid escape token 'x' does not match ` or \\/);
});

test('parseDockerfile: syntax and check directives, also behind a #! line', () => {
  const { directives } = parseDockerfile('#!/usr/bin/env gantry\n# syntax=docker/dockerfile:1\n# check=skip=A,B;error=true\nFROM scratch');
  assert.equal(directives.syntax?.value, 'docker/dockerfile:1');
  assert.deepEqual(directives.check, { skip: ['A', 'B'], experimental: [], error: true });
  assert.match(problems('# check=foo=1\nFROM scratch')[0]?.message ?? '', /invalid check option "foo=1"/);
});

test('parseDockerfile: a BOM and CRLF leave no trace', () => {
  const source = '\uFEFFFROM scratch\r\nENV A=1\r\nLABEL b=2\r\n';
  assert.deepEqual(pairsOf(source, 'env'), [['A', '1']]);
  assert.deepEqual(pairsOf(source, 'label'), [['b', '2']]);
});

test('parseDockerfile: a continuation inserts nothing, drops comments and empty lines, and remembers the empty ones', () => {
  assert.equal(
    only('FROM scratch\nRUN wh\\\nat', 'run').command.form === 'shell' && only('FROM scratch\nRUN wh\\\nat', 'run').line.text,
    'RUN what',
  );
  assert.deepEqual(pairsOf('FROM scratch\nENV A=1 \\\n# c\n  B=2', 'env'), [
    ['A', '1'],
    ['B', '2'],
  ]);
  assert.deepEqual(only('FROM scratch\nENV A=1 \\\n\n B=2', 'env').line.emptyLines, [3]);
  assert.deepEqual(pairsOf('FROM scratch\nLABEL a="x \\\n  y" b=p\\\nq', 'label'), [
    ['a', '"x   y"'],
    ['b', 'pq'],
  ]);
  assert.equal(only('FROM scratch\nRUN a\\\\\n', 'run').line.text, 'RUN a\\\\');
});

test('parseDockerfile: ENV and LABEL, with equals and as of old', () => {
  const legacy = only('FROM scratch\nENV A B=C D', 'env');
  assert.deepEqual([legacy.legacy, legacy.pairs.map(({ key, value }) => [key.text, value.text])], [true, [['A', 'B=C D']]]);
  const [problem] = problems('FROM scratch\nENV A=1 # c');
  assert.match(problem?.message ?? '', /can't find = in "#"/);
  assert.deepEqual(problem?.place, { startLine: 2, endLine: 2, at: { line: 2, column: 9, length: 1 } });
  assert.match(problems('FROM scratch\nENV A')[0]?.message ?? '', /ENV must have two arguments/);
  assert.match(problems('FROM scratch\nENV =x')[0]?.message ?? '', /ENV names can not be blank/);
});

test('parseDockerfile: every problem of a file is told, with its line and a proposal', () => {
  const found = problems('FROM scratch\nFORM x\nCOPY a\nCMD --help\nUSER\nRUN --mont=x y\n');
  assert.deepEqual(
    found.map(({ message, place }) => [place.startLine, message]),
    [
      [2, 'unknown instruction: FORM'],
      [3, 'COPY requires at least two arguments, but only one was provided. Destination could not be determined'],
      [4, 'unknown flag: --help'],
      [5, 'USER requires exactly one argument'],
      [6, 'unknown flag: --mont'],
    ],
  );
  assert.equal(found[0]?.fix, 'did you mean FROM?');
  assert.equal(found[4]?.fix, 'did you mean --mount?');
});

const emptyOnes: readonly (readonly [string, RegExp])[] = [
  ['', /the Dockerfile cannot be empty/],
  ['# only this\n', /file with no instructions/],
  ['ARG A\n', /dockerfile contains no stages to build/],
  ['RUN x\n', /no build stage in current context/],
  ['FROM a b', /FROM requires either one or three arguments/],
  ['FROM a AS 1x', /invalid name for build stage: "1x"/],
];

for (const [source, expected] of emptyOnes) {
  test(`parseDockerfile refuses ${JSON.stringify(source)}`, () => assert.match(problems(source)[0]?.message ?? '', expected));
}

test('parseDockerfile: JSON form, what is not quite JSON, and what is JSON but no strings', () => {
  assert.deepEqual(only('FROM scratch\nCMD ["a", "b"]', 'cmd').command, { form: 'exec', words: ['a', 'b'] });
  assert.deepEqual(only("FROM scratch\nCMD ['a']", 'cmd').command, { form: 'shell', text: "['a']", looksLikeJson: true });
  assert.deepEqual(only('FROM scratch\nCMD [ "a" ] # x', 'cmd').command, { form: 'shell', text: '[ "a" ] # x', looksLikeJson: false });
  assert.match(problems('FROM scratch\nCMD ["a", 1]')[0]?.message ?? '', /arrays must be comprised of strings only/);
  assert.match(problems('FROM scratch\nSHELL /bin/sh')[0]?.message ?? '', /SHELL requires the arguments to be in JSON form/);
});

test('parseDockerfile: HEALTHCHECK', () => {
  const { check } = only('FROM scratch\nHEALTHCHECK --interval=1m30s --retries=2 CMD a b', 'healthcheck');
  assert.equal(check.kind === 'command' && check.interval, 90_000_000_000);
  assert.equal(check.kind === 'command' && check.retries, 2);
  assert.deepEqual(only('FROM scratch\nHEALTHCHECK NONE', 'healthcheck').check, { kind: 'none' });
  assert.match(problems('FROM scratch\nHEALTHCHECK --interval=10us CMD a')[0]?.message ?? '', /cannot be less than 1ms/);
  assert.match(problems('FROM scratch\nHEALTHCHECK EXEC a')[0]?.message ?? '', /Unknown type "EXEC" in HEALTHCHECK \(try CMD\)/);
});

test('parseDockerfile: ONBUILD keeps its text, and reads what is inside', () => {
  const trigger = only('FROM scratch\nONBUILD RUN x', 'onbuild');
  assert.equal(trigger.trigger, 'RUN x');
  assert.equal(trigger.instruction.kind, 'run');
  assert.match(problems('FROM scratch\nONBUILD ONBUILD RUN x')[0]?.message ?? '', /Chaining ONBUILD/);
  assert.match(problems('FROM scratch\nONBUILD FROM x')[0]?.message ?? '', /FROM isn't allowed as an ONBUILD trigger/);
  const heredoc = only('FROM scratch\nONBUILD COPY <<E /a\nx\nE\nUSER u', 'onbuild');
  assert.equal(heredoc.trigger, 'COPY <<E /a\nx\nE');
});

test('parseDockerfile: heredocs of COPY become files, with tabs taken off by <<-', () => {
  const { sources, destination } = only('FROM scratch\nCOPY <<-E <<F /d/\n\ta\n\tE\n\tb\nF\nUSER u', 'copy');
  assert.deepEqual(
    sources.map((source) => source.kind === 'heredoc' && [source.heredoc.name, source.heredoc.body, source.heredoc.expand]),
    [
      ['E', 'a\n', true],
      ['F', '\tb\n', true],
    ],
  );
  assert.equal(destination.text, '/d/');
  const quoted = only("FROM scratch\nCOPY <<'E' /a\n$x\nE", 'copy').sources[0];
  assert.equal(quoted?.kind === 'heredoc' && quoted.heredoc.expand, false);
  assert.match(problems('FROM scratch\nCOPY <<E /a\nx')[0]?.message ?? '', /unterminated heredoc/);
  assert.match(problems('FROM scratch\nCOPY a <<E\nx\nE')[0]?.message ?? '', /cannot accept a heredoc as a destination/);
});

test('parseDockerfile: heredocs of RUN, and what only looks like one', () => {
  assert.equal(only('FROM scratch\nRUN <<E\n#!/bin/sh\necho\nE', 'run').heredocs[0]?.body, '#!/bin/sh\necho\n');
  assert.equal(only('FROM scratch\nRUN <<-E cat\n\tx\n\tE', 'run').heredocs[0]?.body, '\tx\n');
  assert.deepEqual(only("FROM scratch\nRUN echo it's <<X", 'run').heredocs, []);
  assert.deepEqual(only('FROM scratch\nRUN echo "<<X"', 'run').heredocs, []);
  const [problem] = problems('FROM scratch\nRUN cat<<E\nx\nE');
  assert.deepEqual([problem?.place.startLine, problem?.message], [3, 'unknown instruction: x']);
});

test('parseDockerfile: comments above an instruction, and the rules they turn off', () => {
  const [user] = instructions('FROM scratch\n# check=skip=UndefinedVar\n# for people\nUSER u');
  assert.deepEqual(user?.skippedRules, ['UndefinedVar']);
  assert.deepEqual(user?.line.comments, ['check=skip=UndefinedVar', 'for people']);
});

test('excerpt marks the lines and puts a caret under the word', () => {
  const source = 'FROM scratch\n\tENV A=1 # c\n';
  const [problem] = problems(source);
  assert.ok(problem);
  assert.equal(
    excerpt(source, 'Dockerfile', problem.place),
    [
      'Dockerfile:2',
      '--------------------',
      '  1 |     FROM scratch',
      '  2 | >>> \tENV A=1 # c',
      '    |     \t        ^',
      '  3 |',
      '--------------------',
    ].join('\n'),
  );
});
