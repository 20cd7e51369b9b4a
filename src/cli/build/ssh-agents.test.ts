import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import type { CliIo } from '../cli-io.ts';
import { SshAgents } from './ssh-agents.ts';
import { buildFolder } from './testing/build-command.ts';

const REQUEST_IDENTITIES = Buffer.from([0, 0, 0, 1, 11]);
const IDENTITIES_ANSWER = 12;

async function identities(connection: Duplex): Promise<number> {
  connection.write(REQUEST_IDENTITIES);
  const [answer] = (await once(connection, 'data')) as [Buffer];
  connection.destroy();
  assert.equal(answer[4], IDENTITIES_ANSWER);
  return answer.readUInt32BE(5);
}

const ours = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith(`gantry-ssh-${process.pid}-`));

describe('SshAgents', { skip: existsSync('/usr/bin/ssh-agent') ? false : 'needs openssh-client' }, () => {
  it('serves keys by an agent that ends with the build', async () => {
    using folder = buildFolder();
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${folder.path}/key`]);
    const io = { env: process.env, cwd: folder.path } as unknown as CliIo;
    {
      using agents = new SshAgents(new Map([['mine', { id: 'mine', paths: ['key'] }]]), io);
      assert.deepEqual([agents.has('mine'), agents.has('default')], [true, false]);
      assert.equal(await identities(await agents.connect('mine')), 1);
      assert.equal(await identities(await agents.connect('mine')), 1);
      assert.equal(ours().length, 1);
    }
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(ours().length, 0);
  });

  it('refuses what is no socket and no key', () => {
    using folder = buildFolder({ key: '' });
    const io = { env: {}, cwd: folder.path } as unknown as CliIo;
    const agents = (...paths: string[]) => new SshAgents(new Map([['x', { id: 'x', paths }]]), io);
    assert.throws(() => agents('gone'), /--ssh x: .*no such file/);
    assert.throws(() => agents('.'), /neither a socket nor a key/);
    assert.throws(() => agents(), /SSH_AUTH_SOCK is not set/);
  });
});
