/** `gantry registry htpasswd FILE USER`: sets a password, read from standard input, so that no other program is needed to make the file. */
import { randomUUID } from 'node:crypto';
import { chmod, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { hasErrnoCode, invalid } from '../../base/errors.ts';
import { parseHtpasswd } from '../../registry/access/htpasswd.ts';
import { hashPassword } from '../../registry/access/password-check.ts';
import type { ToolCommand } from '../tool-command.ts';

export const htpasswdCommand: ToolCommand = {
  name: 'htpasswd',
  summary: 'Set or remove the password of a user in a password file',
  usage: '[OPTIONS] FILE USER',
  flags: [{ name: 'delete', kind: 'switch', help: 'Remove the user' }],
  maxArgs: 2,
  more: 'The password is asked for, or read from standard input:\n  echo -n PASSWORD | gantry registry htpasswd /etc/gantry/htpasswd alice\nA running registry reads the file again at SIGHUP.\n',
  async run(flags) {
    const [path, user] = flags.args;
    if (path === undefined || user === undefined) throw invalid('give the password file and the user: gantry registry htpasswd FILE USER');
    if (user === '' || user === '*' || /[:\u0000-\u001f\u007f-\u009f]/.test(user) || user.startsWith('#'))
      throw invalid(`${JSON.stringify(user)} cannot be the name of a user`);
    const before = await readFile(path, 'utf8').catch((error) => (hasErrnoCode(error, 'ENOENT') ? '' : Promise.reject(error)));
    parseHtpasswd(before, path);
    const isDeleted = flags.isOn('delete') === true;
    const others = before.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith(`${user}:`));
    const lines = isDeleted ? others : [...others, `${user}:${await hashPassword(await readPassword())}`];
    await replaceFile(path, lines.map((line) => `${line}\n`).join(''));
    process.stdout.write(`${isDeleted ? 'Removed' : 'Set the password of'} ${user} in ${path}\n`);
    return 0;
  },
};

async function readPassword(): Promise<string> {
  const password = process.stdin.isTTY ? await promptHidden('Password: ') : await readAll();
  if (password === '') throw invalid('no password came on standard input');
  if (Buffer.byteLength(password) > 72) throw invalid('bcrypt looks at the first 72 bytes of a password: give a shorter one');
  return password;
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

/** Nothing of it is shown. */
async function promptHidden(question: string): Promise<string> {
  const { stdin } = process;
  process.stderr.write(question);
  stdin.setRawMode(true);
  try {
    let typed = '';
    for await (const chunk of stdin.iterator({ destroyOnReturn: false }))
      for (const character of (chunk as Buffer).toString('utf8')) {
        if (character === '\r' || character === '\n' || character === '\u0004') return typed;
        if (character === '\u0003') throw invalid('interrupted: nothing was changed');
        typed = character === '\u007f' || character === '\b' ? typed.slice(0, -1) : typed + character;
      }
    return typed;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    process.stderr.write('\n');
  }
}

async function replaceFile(path: string, content: string): Promise<void> {
  const mode = await stat(path).then(
    (facts) => facts.mode & 0o777,
    () => 0o600,
  );
  const temporary = `${path}.${randomUUID().slice(0, 8)}`;
  await writeFile(temporary, content, { mode: 0o600, flush: true });
  await chmod(temporary, mode);
  await rename(temporary, path);
}
