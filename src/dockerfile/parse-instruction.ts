/** One instruction's text to its typed form. Errors are `InstructionProblem`s with the word that is to blame. */
import { nearest } from '../base/near-miss.ts';
import { InstructionProblem } from './dockerfile-error.ts';
import { Flags, type FlagTable, takeFlags } from './flags.ts';
import { healthcheck, healthFlags } from './healthcheck.ts';
import type { Heredoc } from './heredoc.ts';
import type { Command, CopySource, FromBody, InstructionBody } from './instruction.ts';
import { jsonWords, looksLikeJson } from './json-form.ts';
import { assignments, plainWords, quotedWords, type Rest, spot, type Word } from './words.ts';

export interface InstructionText {
  readonly keyword: Word;
  readonly rest: Rest;
  readonly heredocs: readonly Heredoc[];
  readonly escapeToken: string;
}

interface Arguments extends InstructionText {
  /** The keyword in upper case. */
  readonly name: string;
  readonly flags: Flags;
}

interface Form {
  readonly flags: FlagTable;
  read(given: Arguments): InstructionBody;
}

const noFlags: FlagTable = {};
const copyFlags: FlagTable = { chown: 'text', chmod: 'text', link: 'switch', exclude: 'list' };

const forms: Readonly<Record<string, Form>> = {
  FROM: { flags: { platform: 'text' }, read: from },
  ARG: { flags: noFlags, read: arg },
  ENV: { flags: noFlags, read: (given) => ({ kind: 'env', ...assignments('ENV', given.rest, given.escapeToken) }) },
  LABEL: { flags: noFlags, read: (given) => ({ kind: 'label', ...assignments('LABEL', given.rest, given.escapeToken) }) },
  RUN: { flags: { mount: 'list', network: 'text', security: 'text', device: 'list' }, read: run },
  CMD: { flags: noFlags, read: ({ rest }) => ({ kind: 'cmd', command: command(rest) }) },
  ENTRYPOINT: { flags: noFlags, read: ({ rest }) => ({ kind: 'entrypoint', command: command(rest) }) },
  SHELL: { flags: noFlags, read: shell },
  COPY: { flags: { ...copyFlags, from: 'text', parents: 'switch' }, read: (given) => copy('copy', given) },
  ADD: {
    flags: { ...copyFlags, checksum: 'text', 'keep-git-dir': 'switch', unpack: 'switch' },
    read: (given) => copy('add', given),
  },
  EXPOSE: { flags: noFlags, read: (given) => ({ kind: 'expose', ports: atLeastOne(given, plainWords(given.rest)) }) },
  VOLUME: { flags: noFlags, read: (given) => ({ kind: 'volume', paths: atLeastOne(given, listWords(given.rest)) }) },
  USER: { flags: noFlags, read: (given) => ({ kind: 'user', value: wholeLine(given) }) },
  WORKDIR: { flags: noFlags, read: (given) => ({ kind: 'workdir', value: wholeLine(given) }) },
  STOPSIGNAL: { flags: noFlags, read: (given) => ({ kind: 'stopsignal', value: wholeLine(given) }) },
  MAINTAINER: { flags: noFlags, read: (given) => ({ kind: 'maintainer', value: wholeLine(given) }) },
  HEALTHCHECK: { flags: healthFlags, read: ({ flags, rest }) => ({ kind: 'healthcheck', check: healthcheck(flags, rest, command) }) },
  ONBUILD: { flags: noFlags, read: onbuild },
};

const instructionNames: readonly string[] = Object.keys(forms);

export function parseInstruction(text: InstructionText): InstructionBody {
  const name = text.keyword.text.toUpperCase();
  const form = Object.hasOwn(forms, name) ? forms[name] : undefined;
  if (form === undefined) throw unknownInstruction(text.keyword);
  // ONBUILD's flags belong to the instruction inside.
  const { flags, rest } =
    name === 'ONBUILD' ? { flags: new Flags(new Map()), rest: text.rest } : takeFlags(text.rest, form.flags, text.escapeToken);
  return form.read({ ...text, name, flags, rest });
}

export function mayHaveHeredocs(keyword: string): boolean {
  return ['RUN', 'COPY', 'ADD'].includes(keyword.toUpperCase());
}

function unknownInstruction(keyword: Word): InstructionProblem {
  const meant = nearest(keyword.text.toUpperCase(), instructionNames);
  return new InstructionProblem(`unknown instruction: ${keyword.text}`, spot(keyword), meant === null ? null : `did you mean ${meant}?`);
}

function from({ rest, flags }: Arguments): FromBody {
  const [image, as, stage, ...more] = plainWords(rest);
  const named = as !== undefined && stage !== undefined && as.text.toUpperCase() === 'AS';
  if (image === undefined || more.length > 0 || (as !== undefined && !named)) {
    throw new InstructionProblem(
      'FROM requires either one or three arguments',
      spot(as ?? { text: '', offset: rest.offset }),
      'write FROM IMAGE or FROM IMAGE AS NAME',
    );
  }
  if (named && !/^[a-z][a-z0-9-_.]*$/.test(stage.text.toLowerCase())) {
    throw new InstructionProblem(
      `invalid name for build stage: ${JSON.stringify(stage.text)}, name can't start with a number or contain symbols`,
      spot(stage),
    );
  }
  return { kind: 'from', image, platform: flags.word('platform'), stage: stage ?? null, as: as ?? null };
}

function arg(given: Arguments): InstructionBody {
  const words = atLeastOne(given, quotedWords(given.rest, given.escapeToken));
  return {
    kind: 'arg',
    arguments: words.map((word) => {
      const equals = word.text.indexOf('=');
      const name = { text: equals === -1 ? word.text : word.text.slice(0, equals), offset: word.offset };
      if (name.text === '') throw new InstructionProblem('ARG names can not be blank', spot(word), 'no blanks around =');
      return { name, value: equals === -1 ? null : { text: word.text.slice(equals + 1), offset: word.offset + equals + 1 } };
    }),
  };
}

function run({ rest, flags, heredocs }: Arguments): InstructionBody {
  return { kind: 'run', flags, command: command(rest), heredocs };
}

function command({ text, offset }: Rest): Command {
  const words = jsonWords({ text, offset });
  return words === null ? { form: 'shell', text, looksLikeJson: looksLikeJson(text) } : { form: 'exec', words };
}

function shell({ rest }: Arguments): InstructionBody {
  const words = jsonWords(rest);
  if (words === null)
    throw new InstructionProblem('SHELL requires the arguments to be in JSON form', spot(rest), 'write SHELL ["/bin/sh", "-c"]');
  if (words.length === 0) throw new InstructionProblem('SHELL requires at least one argument', spot(rest));
  return { kind: 'shell', words };
}

function copy(kind: 'copy' | 'add', given: Arguments): InstructionBody {
  const { name, rest, flags, heredocs } = given;
  const { paths, used } = withoutHeredocs(rest, heredocs);
  const destination = paths.at(-1);
  if (destination === undefined || paths.length - 1 + used.length < 1) {
    throw new InstructionProblem(
      `${name} requires at least two arguments, but only one was provided. Destination could not be determined`,
      spot(rest),
      `write ${name} SOURCE DESTINATION`,
    );
  }
  if (used.some(({ word }) => word.offset > destination.offset)) {
    throw new InstructionProblem(`${name} cannot accept a heredoc as a destination`, spot(used.at(-1)?.word ?? destination));
  }
  const sources: CopySource[] = [
    ...paths.slice(0, -1).map((word) => ({ kind: 'path' as const, word })),
    ...used.map((heredoc) => ({ kind: 'heredoc' as const, heredoc })),
  ];
  const inOrder = sources.toSorted((a, b) => offsetOf(a) - offsetOf(b));
  return { kind, flags, sources: inOrder, destination };
}

function offsetOf(source: CopySource): number {
  return source.kind === 'path' ? source.word.offset : source.heredoc.word.offset;
}

/** Two openers with one name both get the last body, as in BuildKit. */
function withoutHeredocs(rest: Rest, heredocs: readonly Heredoc[]): { readonly paths: readonly Word[]; readonly used: readonly Heredoc[] } {
  if (heredocs.length === 0) return { paths: listWords(rest), used: [] };
  const inside = (word: Word) =>
    heredocs.some(({ word: opener }) => word.offset >= opener.offset && word.offset < opener.offset + opener.text.length);
  const used = heredocs.map((heredoc) => ({ ...heredoc, body: heredocs.findLast(({ name }) => name === heredoc.name)?.body ?? '' }));
  return { paths: plainWords(rest).filter((word) => !inside(word)), used };
}

/** JSON, or plain words. A JSON word has no place of its own. */
function listWords(rest: Rest): readonly Word[] {
  return jsonWords(rest)?.map((text) => ({ text, offset: rest.offset })) ?? plainWords(rest);
}

function atLeastOne({ name, rest }: Arguments, words: readonly Word[]): readonly Word[] {
  if (words.length === 0) throw new InstructionProblem(`${name} requires at least one argument`, spot(rest));
  return words;
}

function wholeLine({ name, rest }: Arguments): Word {
  if (rest.text === '') throw new InstructionProblem(`${name} requires exactly one argument`);
  return { text: rest.text, offset: rest.offset };
}

function onbuild({ rest, heredocs, escapeToken }: Arguments): InstructionBody {
  const [keyword] = plainWords(rest);
  if (keyword === undefined) throw new InstructionProblem('ONBUILD requires at least one argument');
  const name = keyword.text.toUpperCase();
  if (name === 'ONBUILD') throw new InstructionProblem("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", spot(keyword));
  if (name === 'FROM' || name === 'MAINTAINER') throw new InstructionProblem(`${name} isn't allowed as an ONBUILD trigger`, spot(keyword));
  const end = keyword.offset - rest.offset + keyword.text.length;
  const inner = trimmed({ text: rest.text.slice(end), offset: rest.offset + end });
  const bodies = heredocs.map(({ body, name }) => `${body}${name}`);
  return {
    kind: 'onbuild',
    trigger: [rest.text, ...bodies].join('\n'),
    instruction: parseInstruction({ keyword, rest: inner, heredocs, escapeToken }),
  };
}

function trimmed({ text, offset }: Rest): Rest {
  const left = text.trimStart();
  return { text: left, offset: offset + text.length - left.length };
}
