/** `login` and `logout`. What is stored is stored where Docker's client looks for it. */
import { CliError } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import { HUB_KEY, registryKey } from '../config/credentials.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { readLine } from '../terminal/confirm.ts';
import { enterRawMode } from '../terminal/raw-mode.ts';

export const login: Command = {
  usage: '[OPTIONS] [SERVER]',
  flags: defineFlags(`
  -p, --password string   Password or Personal Access Token (PAT)
      --password-stdin    Take the Password or Personal Access Token (PAT) from stdin
  -u, --username string   Username
`),
  args: { min: 0, max: 1 },
  async run(context) {
    const { client, args, config } = context;
    refuseHelper(context);
    const key = registryKey(registryHost(args[0] ?? ''));
    const username = await askUsername(context);
    const password = await askPassword(context);
    const { IdentityToken = '', Status = '' } = await client.system.login({ username, password, serveraddress: key });
    config.update((file) => {
      file.auths ??= {};
      file.auths[key] =
        IdentityToken === ''
          ? { auth: Buffer.from(`${username}:${password}`).toString('base64') }
          : { auth: Buffer.from(`${username}:`).toString('base64'), identitytoken: IdentityToken };
    });
    context.printError(`WARNING! Your credentials are stored unencrypted in '${config.path}'.\n`);
    context.print(`${Status}\n`);
    return 0;
  },
};

export const logout: Command = {
  usage: '[SERVER]',
  flags: [],
  args: { min: 0, max: 1 },
  async run(context) {
    refuseHelper(context);
    const key = registryKey(registryHost(context.args[0] ?? ''));
    if (context.config.file.auths?.[key] === undefined) {
      context.print(`Not logged in to ${key}\n`);
      return 0;
    }
    context.print(`Removing login credentials for ${key}\n`);
    context.config.update((file) => {
      delete file.auths?.[key];
    });
    return 0;
  },
};

/** Writing beside a credential store would leave two truths. */
function refuseHelper({ config }: CommandContext): void {
  if (config.file.credsStore)
    throw new CliError(
      `storing credentials in a credential store (credsStore "${config.file.credsStore}" in ${config.path}) is not supported yet`,
    );
}

function registryHost(server: string): string {
  return server === HUB_KEY ? '' : server.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

async function askUsername(context: CommandContext): Promise<string> {
  const { flags, io } = context;
  const given = flags.string('username').trim();
  if (flags.bool('password-stdin') && given === '') throw new CliError('the --password-stdin option requires --username to be set');
  if (given !== '') return given;
  if (io.stdin.isTTY !== true)
    throw new CliError('cannot perform an interactive login from a non-TTY device: use --username and --password-stdin');
  context.print('Username: ');
  const typed = (await readLine(io.stdin)).trim();
  if (typed === '') throw new CliError('username is required');
  return typed;
}

async function askPassword(context: CommandContext): Promise<string> {
  const { flags, io } = context;
  if (flags.has('password') && flags.bool('password-stdin'))
    throw new CliError('conflicting options: cannot specify both --password and --password-stdin');
  if (flags.has('password')) {
    context.printError('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n');
    return flags.string('password');
  }
  if (flags.bool('password-stdin')) {
    let text = '';
    for await (const chunk of io.stdin) text += String(chunk);
    return text.replace(/\r?\n$/, '');
  }
  if (io.stdin.isTTY !== true) throw new CliError('cannot perform an interactive login from a non-TTY device: use --password-stdin');
  context.print('Password: ');
  const password = await readHidden(io.stdin);
  context.print('\n');
  if (password === '') throw new CliError('password is required');
  return password;
}

/** Raw mode does not echo; so the keys that a terminal would handle are handled here. */
async function readHidden(stdin: CommandContext['io']['stdin']): Promise<string> {
  using _raw = enterRawMode(stdin, 'input');
  let text = '';
  for await (const chunk of stdin) {
    for (const character of String(chunk)) {
      if (character === '\r' || character === '\n') return text;
      if (character === '\x03' || character === '\x04') throw new CliError('login has been cancelled');
      if (character === '\x7f' || character === '\b') text = text.slice(0, -1);
      else text += character;
    }
  }
  return text;
}
