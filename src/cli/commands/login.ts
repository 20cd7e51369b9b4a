/** `login` and `logout`. What is stored is stored where Docker's client looks for it, and the daemon asks the registry first whether it is right. */
import { errorText } from '../../base/errors.ts';
import { ApiError } from '../../client/api-client.ts';
import { HUB_KEY, registryKey } from '../../client/credentials/registry-key.ts';
import type { RegistryCredentials } from '../../client/types.ts';
import { CliError, ExitWithCode } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import { credentialStore } from '../config/credentials.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { LineInput } from '../terminal/line-input.ts';

export const login: Command = {
  usage: '[OPTIONS] [SERVER]',
  flags: defineFlags(`
  -p, --password string   Password or Personal Access Token (PAT)
      --password-stdin    Take the Password or Personal Access Token (PAT) from stdin
  -u, --username string   Username
`),
  args: { min: 0, max: 1 },
  async run(context) {
    const key = registryKey(context.args[0] ?? '');
    const given = await givenByFlags(context);
    const known = given.username === '' && given.password === '' ? await knownLogin(context, key) : {};
    const answer =
      (await tryKnown(context, known)) ?? (await authenticate(context, key, await complete(context, key, given, known.username ?? '')));
    await keep(context, key, answer);
    context.print(`${answer.status}\n`);
    return 0;
  },
};

export const logout: Command = {
  usage: '[SERVER]',
  flags: [],
  args: { min: 0, max: 1 },
  async run(context) {
    const key = registryKey(context.args[0] ?? '');
    context.print(`Removing login credentials for ${key}\n`);
    try {
      await credentialStore(context).erase(key);
    } catch (error) {
      throw new CliError(`Error erasing credentials: ${errorText(error)}`, 1, { cause: error });
    }
    return 0;
  },
};

/** As a shell says that Ctrl-C ended a program. */
const INTERRUPTED = 130;

interface Given {
  readonly username: string;
  readonly password: string;
}

interface Accepted extends Given {
  readonly identityToken: string;
  readonly status: string;
}

async function givenByFlags(context: CommandContext): Promise<Given> {
  const { flags } = context;
  const username = flags.string('username').trim();
  if (flags.has('password') && flags.bool('password-stdin'))
    throw new CliError('conflicting options: cannot specify both --password and --password-stdin');
  if (flags.has('username') && username === '') throw new CliError('username is empty');
  if (flags.has('password')) return { username, password: passwordOfFlag(context) };
  if (!flags.bool('password-stdin')) return { username, password: '' };
  if (username === '') throw new CliError('the --password-stdin option requires --username to be set');
  let text = '';
  for await (const chunk of context.io.stdin) text += String(chunk);
  return { username, password: text.replace(/\r?\n$/, '') };
}

function passwordOfFlag(context: CommandContext): string {
  const password = context.flags.string('password');
  if (password === '') throw new CliError('password is empty');
  context.printError('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n');
  return password;
}

/** A login that is broken is no login: this one takes its place. */
async function knownLogin(context: CommandContext, key: string): Promise<RegistryCredentials> {
  try {
    return await credentialStore(context).get(key);
  } catch (error) {
    context.printError(`WARNING: ${errorText(error)}\n`);
    return {};
  }
}

/** Null: there is nothing to try, or it is not valid any more. */
async function tryKnown(context: CommandContext, known: RegistryCredentials): Promise<Accepted | null> {
  const { username = '', password = '', serveraddress = '' } = known;
  if (username === '' || password === '') return null;
  context.printError(
    `Authenticating with existing credentials... [Username: ${username}]\n\n Info -> To login with a different account, run 'gantry logout' followed by 'gantry login'\n\n\n`,
  );
  try {
    return await authenticate(context, serveraddress, { username, password });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    context.printError(`Login did not succeed, error: ${errorMessage(error)}\n`);
    return null;
  }
}

/** What the flags left open is asked for, on a terminal only. */
async function complete(context: CommandContext, key: string, given: Given, knownUsername: string): Promise<Given> {
  if (given.username !== '' && given.password !== '') return given;
  const { stdin } = context.io;
  if (stdin.isTTY !== true)
    throw new CliError('Error: Cannot perform an interactive login from a non TTY device: use --username and --password-stdin');
  using input = new LineInput(stdin);
  return {
    username: given.username === '' ? await askUsername(context, input, key, knownUsername) : given.username,
    password: given.password === '' ? await askPassword(context, input) : given.password,
  };
}

async function askUsername(context: CommandContext, input: LineInput, key: string, known: string): Promise<string> {
  if (key === HUB_KEY && known === '')
    context.print('Log in with your Docker ID or email address, and your password or a Personal Access Token (PAT), to Docker Hub.\n\n');
  context.print(known === '' ? 'Username: ' : `Username (${known}): `);
  const typed = ((await input.readLine()) ?? '').trim() || known;
  if (typed === '') throw new CliError('Error: Non-null Username Required');
  return typed;
}

async function askPassword(context: CommandContext, input: LineInput): Promise<string> {
  context.print('Password: ');
  const password = await input.readHiddenLine();
  context.print('\n');
  if (password === null) throw new ExitWithCode(INTERRUPTED);
  if (password === '') throw new CliError('Error: Password Required');
  return password;
}

async function authenticate(context: CommandContext, key: string, { username, password }: Given): Promise<Accepted> {
  const { IdentityToken = '', Status = '' } = await context.client.system.login({ username, password, serveraddress: key });
  return { username, password, identityToken: IdentityToken, status: Status };
}

async function keep(context: CommandContext, key: string, { username, password, identityToken }: Accepted): Promise<void> {
  const store = credentialStore(context);
  try {
    const outcome = await store.store(key, identityToken === '' ? { username, password } : { username, identityToken });
    if (outcome === 'in-the-clear') warnOfClearText(context);
  } catch (error) {
    throw new CliError(`Error saving credentials: ${errorText(error)}`, 1, { cause: error });
  }
}

function warnOfClearText(context: CommandContext): void {
  context.printError(
    `\nWARNING! Your credentials are stored unencrypted in '${context.config.path}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n`,
  );
}
