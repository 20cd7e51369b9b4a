/** The command line of a build, read and checked: everything that is wrong with it is told before anything is read or sent. */
import type { BuildRequestBody } from '../../../client/build-types.ts';
import { hostPlatform, type Platform } from '../../../oci/platform.ts';
import { parsePlatformSpecifier } from '../../../oci/platform-specifier.ts';
import { CliError, UsageError } from '../../cli-error.ts';
import type { CommandContext } from '../../command.ts';
import { proxyEnvironment } from '../../config/proxy-environment.ts';
import { keyValueMap } from '../../parse/environment.ts';
import { parseLabel } from '../../parse/host-options.ts';
import { attestations } from './attestation-option.ts';
import { type CacheOption, parseCacheOption } from './cache-option.ts';
import { type ContextArgument, type NamedContext, parseContextArgument, parseNamedContext } from './context-option.ts';
import { parseTimestamp, type TimestampOption } from './epoch-option.ts';
import { canonicalTag, type OutputOption, parseAnnotation, parseOutputOption } from './output-option.ts';
import { runSettings } from './run-settings.ts';
import { checkSecret, parseSecret, type SecretSource } from './secret-option.ts';
import { parseSsh, type SshOption } from './ssh-option.ts';

export type ProgressMode = 'auto' | 'tty' | 'plain' | 'quiet' | 'rawjson';

export interface BuildOptions {
  readonly context: ContextArgument;
  /** As given; null: the one of the context. */
  readonly dockerfile: string | null;
  readonly namedContexts: readonly (readonly [name: string, context: NamedContext])[];
  readonly outputs: readonly OutputOption[];
  readonly cacheFrom: readonly CacheOption[];
  readonly cacheTo: readonly CacheOption[];
  readonly secrets: ReadonlyMap<string, SecretSource>;
  readonly ssh: ReadonlyMap<string, SshOption>;
  readonly timestamp: TimestampOption;
  readonly progress: ProgressMode;
  readonly call: Call;
  readonly idFile: string | null;
  readonly metadataFile: string | null;
  readonly explain: boolean;
  readonly verify: boolean;
  readonly watch: boolean;
  readonly shellOnError: boolean;
  /** What goes to the daemon as it is. */
  readonly request: Pick<
    BuildRequestBody,
    'target' | 'platforms' | 'buildArguments' | 'labels' | 'noCache' | 'pull' | 'run' | 'entitlements' | 'provenance' | 'sbom' | 'squash'
  >;
}

export interface Call {
  readonly kind: BuildRequestBody['call'];
  readonly json: boolean;
  /** What is found is told by no exit code. */
  readonly ignoresStatus: boolean;
}

export function readBuildOptions(context: CommandContext): BuildOptions {
  const { flags, io } = context;
  refuseWhatThereIsNot(context);
  const secrets = flags.parsedList('secret', (text) => parseSecret(text, io.env));
  for (const secret of secrets) checkSecret(secret, io.env, io.cwd);
  const options: BuildOptions = {
    context: parseContextArgument(context.args[0] ?? '', io.cwd),
    dockerfile: flags.string('file') === '' || !flags.has('file') ? null : flags.string('file'),
    namedContexts: flags.parsedList('build-context', (text) => parseNamedContext(text, io.cwd)),
    outputs: outputs(context),
    cacheFrom: flags.parsedList('cache-from', (text) => parseCacheOption(text, 'from')),
    cacheTo: flags.parsedList('cache-to', (text) => parseCacheOption(text, 'to')),
    secrets: new Map(secrets.map((secret) => [secret.id, secret])),
    ssh: new Map(flags.parsedList('ssh', parseSsh).map((agent) => [agent.id, agent])),
    timestamp: flags.parsed('timestamp', parseTimestamp) ?? { kind: 'base' },
    progress: flags.bool('quiet') ? 'quiet' : progressMode(context),
    call: flags.parsed('call', parseCall) ?? { kind: flags.bool('check') ? 'check' : 'build', json: false, ignoresStatus: false },
    idFile: flags.string('iidfile') || null,
    metadataFile: flags.string('metadata-file') || null,
    explain: flags.bool('explain'),
    verify: flags.bool('verify'),
    watch: flags.bool('watch'),
    shellOnError: flags.bool('shell-on-error'),
    request: {
      target: flags.string('target') || null,
      platforms: platforms(context),
      buildArguments: buildArguments(context),
      labels: keyValueMap(flags.parsedList('label', parseLabel)),
      noCache: flags.bool('no-cache') ? 'all' : words(flags.list('no-cache-filter')).map((stage) => stage.toLowerCase()),
      pull: flags.bool('pull'),
      run: runSettings(flags),
      entitlements: entitlements(context),
      ...attestations(flags),
      squash: flags.bool('squash'),
    },
  };
  checkTogether(options, context);
  return options;
}

function words(lists: readonly string[]): readonly string[] {
  return lists.flatMap((list) => list.split(',')).filter((word) => word !== '');
}

/** Flags of Docker's that stand for something that is no choice here. */
function refuseWhatThereIsNot({ flags }: CommandContext): void {
  if (flags.list('security-opt').length > 0)
    throw new CliError(
      '--security-opt is not supported in builds: RUN --security=insecure with --allow security.insecure is what a Dockerfile has',
    );
  const isolation = flags.string('isolation');
  if (isolation !== '' && isolation !== 'default')
    throw new CliError(`invalid isolation ${JSON.stringify(isolation)}: on Linux there is only default`);
  const builder = flags.string('builder');
  if (builder !== '' && builder !== 'default') throw new CliError(`no builder ${JSON.stringify(builder)} found: there is one, default`);
}

const MODES = ['auto', 'tty', 'plain', 'quiet', 'rawjson'] as const;

function progressMode({ flags, io }: CommandContext): ProgressMode {
  const given = flags.has('progress') ? flags.string('progress') : (io.env.BUILDKIT_PROGRESS ?? '');
  if (given === '') return 'auto';
  const mode = MODES.find((each) => each === given);
  if (mode === undefined) throw new CliError(`invalid progress mode ${given}: write ${MODES.join(', ')}`);
  return mode;
}

function parseCall(text: string): Call {
  const [name = '', ...rest] = text.split(',');
  const kind = ({ build: 'build', check: 'check', lint: 'check', outline: 'outline', targets: 'targets' } as const)[name];
  if (kind === undefined) throw new Error('write build, check, outline or targets');
  let [json, ignoresStatus] = [false, false];
  for (const field of rest) {
    if (field === 'format=json') json = true;
    else if (field === 'ignorestatus=true' || field === 'ignorestatus') ignoresStatus = true;
    else if (field !== 'format=text' && field !== 'format=' && field !== 'ignorestatus=false')
      throw new Error(`'${field}' is unknown: write format=json, or ignorestatus=true`);
  }
  return { kind, json, ignoresStatus };
}

function platforms({ flags, io }: CommandContext): readonly Platform[] {
  const given = flags.has('platform')
    ? flags.parsedList('platform', parsePlatforms).flat()
    : parseDefaultPlatform(io.env.DOCKER_DEFAULT_PLATFORM ?? '');
  const seen = new Map(given.map((platform) => [JSON.stringify(platform), platform]));
  return [...seen.values()];
}

function parsePlatforms(text: string): readonly Platform[] {
  return words([text]).map((word) => (word.trim() === 'local' ? hostPlatform() : parsePlatformSpecifier(word.trim())));
}

function parseDefaultPlatform(text: string): readonly Platform[] {
  try {
    return parsePlatforms(text);
  } catch (error) {
    throw new CliError(`DOCKER_DEFAULT_PLATFORM: ${error instanceof Error ? error.message : String(error)}`, 1, { cause: error });
  }
}

/** Those of the command line, `NAME` alone only where our environment has it; then proxies of the configuration, and SOURCE_DATE_EPOCH of the environment. */
function buildArguments({ flags, io, config, address }: CommandContext): Readonly<Record<string, string>> {
  const given = flags.parsedList('build-arg', (text) => {
    if (text === '' || text.startsWith('=')) throw new Error('write NAME=VALUE, or NAME for the value that the environment has');
    return text;
  });
  const known = given.flatMap((entry) => {
    if (entry.includes('=')) return [entry];
    const value = io.env[entry];
    return value === undefined ? [] : [`${entry}=${value}`];
  });
  const all = keyValueMap([...proxyEnvironment(config, address, given), ...known]);
  const epoch = io.env.SOURCE_DATE_EPOCH ?? '';
  if (epoch === '' || 'SOURCE_DATE_EPOCH' in all || flags.has('timestamp')) return all;
  if (!/^\d+$/.test(epoch))
    throw new CliError(`SOURCE_DATE_EPOCH of the environment is ${JSON.stringify(epoch)}: it is a number of seconds since 1970`);
  return Object.assign(all, { SOURCE_DATE_EPOCH: epoch });
}

const ENTITLEMENTS = ['network.host', 'security.insecure', 'device'];

function entitlements({ flags }: CommandContext): readonly string[] {
  const given = flags.parsedList('allow', (text) => {
    if (ENTITLEMENTS.includes(text.split('=')[0] ?? '')) return text;
    throw new Error(`write one of ${ENTITLEMENTS.join(', ')}`);
  });
  const network = flags.string('network') === 'host' ? ['network.host'] : [];
  return [...new Set([...given, ...network])];
}

function outputs({ flags, io }: CommandContext): readonly OutputOption[] {
  const given = flags.parsedList('output', parseOutputOption);
  const chosen = given.filter((option) => option !== null);
  const names = [...new Set(flags.parsedList('tag', parseTag))];
  const annotations = Object.assign({}, ...flags.parsedList('annotation', parseAnnotation));
  const image = parseOutputOption('type=image') as OutputOption;
  const isImage = ({ body }: OutputOption): boolean => body.type === 'image';
  const wantsImage = given.length === 0 || flags.bool('load') || flags.bool('push');
  const all = wantsImage && !chosen.some(isImage) ? [...chosen, image] : chosen;
  const ready = all.map((option) => withNames(option, { names, annotations, push: flags.bool('push') }));
  if (Object.keys(annotations).length > 0 && !ready.some(({ body }) => takesNames(body.type)))
    throw new CliError('--annotation needs an output that is an image: type=image, oci or docker');
  if (ready.some(({ body }) => body.push && body.names.length === 0))
    throw new CliError('tag is needed when pushing to registry: name the image with -t');
  const toStdout = ready.filter(({ destination }) => destination?.kind === 'stdout');
  if (toStdout.length > 1) throw new CliError('only one output can go to standard output');
  if (toStdout.length > 0 && io.stdout.isTTY === true)
    throw new CliError('dest file is required for this output. refusing to write to console: redirect it, or write dest=PATH');
  return ready;
}

function takesNames(type: OutputOption['body']['type']): boolean {
  return type === 'image' || type === 'oci' || type === 'docker';
}

function withNames(
  option: OutputOption,
  {
    names,
    annotations,
    push,
  }: { readonly names: readonly string[]; readonly annotations: Readonly<Record<string, string>>; readonly push: boolean },
): OutputOption {
  const { body } = option;
  if (!takesNames(body.type)) return option;
  return {
    ...option,
    body: {
      ...body,
      names: [...new Set([...body.names, ...names])],
      annotations: { ...body.annotations, ...annotations },
      push: body.push || (push && body.type === 'image'),
    },
  };
}

/** In Docker's words, which say what is wrong with which tag. */
function parseTag(text: string): string {
  try {
    return canonicalTag(text);
  } catch (error) {
    throw new UsageError(
      `invalid argument ${JSON.stringify(text)} for "-t, --tag" flag: ${error instanceof Error ? error.message.replace(/^invalid tag "[^"]*": /, '') : ''}`,
      125,
      false,
    );
  }
}

function checkTogether(options: BuildOptions, { io }: CommandContext): void {
  const { context, dockerfile, watch } = options;
  const clash = (one: string, other: string): CliError => new CliError(`${one} and ${other} exclude each other`);
  if (context.kind === 'stdin' && dockerfile === '-') throw new CliError("can't use stdin for both build context and dockerfile");
  if (watch && options.verify) throw clash('--watch', '--verify');
  if (watch && options.shellOnError) throw clash('--watch', '--shell-on-error');
  if (watch && (context.kind !== 'directory' || dockerfile === '-'))
    throw new CliError('--watch needs a directory as build context: what comes by standard input or from elsewhere cannot be watched');
  if (options.call.kind !== 'build' && (watch || options.verify || options.shellOnError))
    throw new CliError(`--call ${options.call.kind} builds nothing: leave --watch, --verify and --shell-on-error away`);
  if (options.shellOnError && (io.stdin.isTTY !== true || io.stdout.isTTY !== true))
    throw new CliError('--shell-on-error needs a terminal as standard input and output');
}
