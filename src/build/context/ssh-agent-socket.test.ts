import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { withAgentSocket } from './ssh-agent-socket.ts';

const agent = async () =>
  Duplex.from(async function* (source: AsyncIterable<Buffer>) {
    for await (const chunk of source) yield `signed ${chunk}`;
  });

test('withAgentSocket carries connections to the agent of the client, for root only, as long as it is used', async () => {
  const path = await withAgentSocket(agent, async (socketPath) => {
    assert.equal(statSync(dirname(socketPath ?? '')).mode & 0o777, 0o700);
    for (const text of ['one', 'two']) {
      const socket = connect(socketPath ?? '');
      socket.end(text);
      assert.equal((await socket.toArray()).join(''), `signed ${text}`);
    }
    return socketPath;
  });
  assert.equal(existsSync(dirname(path ?? '')), false);
});

test('withAgentSocket: an agent that says no closes the connection; without one there is no socket', async () => {
  await withAgentSocket(
    () => Promise.reject(new Error('no agent')),
    async (path) => {
      const socket = connect(path ?? '');
      assert.equal((await socket.toArray()).length, 0);
    },
  );
  assert.equal(await withAgentSocket(null, async (path) => path), null);
});
