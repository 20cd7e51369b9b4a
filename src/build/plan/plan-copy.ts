/** COPY and ADD: flags and words, expanded, to one operation. What its sources are is known by their form only; whether they exist is found out when it runs. */
import { posix } from 'node:path';
import { InstructionProblem } from '../../dockerfile/dockerfile-error.ts';
import { type ExpandOptions, expand, expandHeredoc } from '../../dockerfile/expand.ts';
import type { CopyBody, CopySource } from '../../dockerfile/instruction.ts';
import { spot, type Word } from '../../dockerfile/words.ts';
import { type CopyWords, copyHistory } from './history-text.ts';
import { parseModeChange } from './mode-change.ts';
import type { CopyInput, CopyOperation, Operation, Step } from './operation.ts';

export interface CopySetting {
  readonly step: Step;
  readonly parent: Operation;
  readonly epoch: number;
  /** Stage, image or context of `--from`; the build's own context without. */
  readonly from: Operation;
  readonly cwd: string;
  readonly options: ExpandOptions;
}

export interface PlannedCopy {
  readonly operation: CopyOperation;
  readonly history: string;
}

export function planCopy(body: CopyBody, setting: CopySetting): PlannedCopy {
  const { flags } = body;
  const { options } = setting;
  const words = copyWords(body, options);
  const inputs = body.sources.map((source, index) => input(body, source, words.sources[index] ?? '', setting));
  requireDirectory(body, words);
  requireChecksumFits(body, inputs);
  const operation: CopyOperation = {
    kind: 'copy',
    step: setting.step,
    parent: setting.parent,
    epoch: setting.epoch,
    sources: inputs,
    destination: absolute(words.destination, setting.cwd),
    owner: words.owner,
    mode: words.mode === null ? null : parsedMode(words.mode, flags.word('chmod')),
    excludes: flags.list('exclude').map(({ text }) => text),
    parents: words.parents,
    link: flags.switch('link') === true,
  };
  return { operation, history: copyHistory(words) };
}

function copyWords({ kind, flags, sources, destination }: CopyBody, options: ExpandOptions): CopyWords {
  const flag = (name: string) => {
    const word = flags.word(name);
    return word === null ? null : expand(word.text, options);
  };
  return {
    kind,
    parents: flags.switch('parents') === true,
    owner: flag('chown'),
    mode: flag('chmod'),
    sources: sources.map((source) => (source.kind === 'heredoc' ? `<<${source.heredoc.name}` : expand(source.word.text, options))),
    destination: expand(destination.text, options),
  };
}

function input(body: CopyBody, source: CopySource, text: string, { from, options }: CopySetting): CopyInput {
  if (source.kind === 'heredoc') {
    const { name, expand: expands, body: content } = source.heredoc;
    return { kind: 'file', name, body: expands ? expandHeredoc(content, options) : content };
  }
  const checksum = checksumOf(body, options);
  if (body.kind === 'add' && isGitUrl(text))
    return { kind: 'git', url: text, checksum, keepGitDirectory: body.flags.switch('keep-git-dir') === true };
  if (body.kind === 'add' && isUrl(text)) return { kind: 'url', url: text, checksum, unpack: body.flags.switch('unpack') === true };
  if (isUrl(text) || isGitUrl(text)) throw new InstructionProblem("source can't be a URL for COPY", spot(source.word), 'use ADD');
  return { kind: 'path', from, pattern: text, unpack: body.kind === 'add' && body.flags.switch('unpack') !== false };
}

function checksumOf({ flags }: CopyBody, options: ExpandOptions): string | null {
  const word = flags.word('checksum');
  return word === null ? null : expand(word.text, options);
}

/** Docker's classic builder asks for it; BuildKit lets later files overwrite earlier ones. */
function requireDirectory({ kind, sources, destination, flags }: CopyBody, words: CopyWords): void {
  if (sources.length < 2 || /(^|\/)\.{0,2}$/.test(words.destination) || flags.switch('parents') === true) return;
  throw new InstructionProblem(
    `When using ${kind.toUpperCase()} with more than one source file, the destination must be a directory and end with a /`,
    spot(destination),
  );
}

function requireChecksumFits({ flags, sources }: CopyBody, inputs: readonly CopyInput[]): void {
  const word = flags.word('checksum');
  if (word === null) return;
  if (sources.length > 1) throw new InstructionProblem("checksum can't be specified for multiple sources", spot(word));
  if (!inputs.every(({ kind }) => kind === 'url' || kind === 'git'))
    throw new InstructionProblem('checksum requires HTTP(S) or Git sources', spot(word));
}

function parsedMode(text: string, word: Word | null): CopyOperation['mode'] {
  try {
    return parseModeChange(text);
  } catch (thrown) {
    if (!(thrown instanceof InstructionProblem) || word === null) throw thrown;
    throw new InstructionProblem(thrown.message, spot(word), thrown.fix);
  }
}

/** The `/` at the end stays; nothing, where a variable was empty, is the working directory. */
function absolute(text: string, cwd: string): string {
  const path = posix.resolve('/', cwd, text);
  const isDirectory = text === '' || /(^|\/)\.{0,2}$/.test(text);
  return isDirectory && path !== '/' ? `${path}/` : path;
}

function isUrl(text: string): boolean {
  return /^https?:\/\//.test(text);
}

/** `git@host:path`, `ssh://`, `git://`, and web addresses whose path ends in `.git`. */
function isGitUrl(text: string): boolean {
  return /^(git@[^:/]+:|ssh:\/\/|git:\/\/)/.test(text) || /^https?:\/\/[^?#]+\.git(?:[?#]|$)/.test(text);
}
