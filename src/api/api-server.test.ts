import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '../base/log.ts';
import { createApiServer } from './api-server.ts';
import { containerId, execId, type FakeServices, fakeServices } from './fixtures/fake-services.ts';
import { head, parseAnswer, readAll, readUntil, request, serveOnUnix } from './fixtures/raw-http.ts';
import { apiRoutes } from './routes.ts';

async function serve(fake: FakeServices) {
  const api = createApiServer({ routes: apiRoutes(fake), engineVersion: '0.1.0', logger: silentLogger });
  return serveOnUnix(api.createListener());
}

async function answerOf(method: string, url: string, options: Parameters<typeof request>[3] = {}, fake = fakeServices()) {
  await using server = await serve(fake);
  return await request(server.path, method, url, options);
}

const message = (body: string) => (JSON.parse(body) as { message: string }).message;

describe('every answer', () => {
  it('carries the headers that clients negotiate by', async () => {
    const { status, headers, body } = await answerOf('GET', '/_ping');
    assert.equal(status, 200);
    assert.equal(body, 'OK');
    assert.equal(headers['api-version'], '1.51');
    assert.equal(headers['docker-experimental'], 'false');
    assert.equal(headers.ostype, 'linux');
    assert.equal(headers.server, 'Docker/0.1.0 (linux)');
    assert.equal(headers['builder-version'], '1');
    assert.equal(headers.swarm, 'inactive');
    assert.equal(headers['cache-control'], 'no-cache, no-store, must-revalidate');
    assert.equal(headers['content-length'], '2');
  });

  it('HEAD /_ping has no body', async () => {
    const { status, headers, body } = await answerOf('HEAD', '/_ping');
    assert.deepEqual([status, headers['content-length'], body], [200, '0', '']);
  });

  it('errors carry them too, as JSON with a newline', async () => {
    const { status, headers, body } = await answerOf('GET', '/nowhere');
    assert.equal(status, 404);
    assert.equal(body, '{"message":"page not found"}\n');
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers['api-version'], '1.51');
  });
});

describe('versions in the path', () => {
  for (const version of ['1.24', '1.41', '1.51']) {
    it(`${version} is served`, async () => assert.equal((await answerOf('GET', `/v${version}/version`)).status, 200));
  }

  it('too new and too old are refused in the words that clients match', async () => {
    assert.equal(
      (await answerOf('GET', '/v1.99/version')).body,
      '{"message":"client version 1.99 is too new. Maximum supported API version is 1.51"}\n',
    );
    assert.equal(
      (await answerOf('GET', '/v1.23/version')).body,
      '{"message":"client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"}\n',
    );
    assert.equal((await answerOf('GET', '/v2.0/version')).status, 400);
  });
});

describe('SEC-30 who may ask', () => {
  it('a web page may not', async () => {
    assert.equal((await answerOf('GET', '/_ping', { headers: { Origin: 'http://evil' } })).status, 403);
    assert.equal((await answerOf('POST', '/containers/create', { body: '{}', headers: { Origin: 'null' } })).status, 403);
  });

  it('JSON has to say that it is JSON', async () => {
    const { status, body } = await answerOf('POST', '/containers/create', {
      body: '{"Image":"busybox"}',
      headers: { 'Content-Type': 'text/plain' },
    });
    assert.equal(status, 400);
    assert.match(message(body), /must be 'application\/json'/);
  });

  it('a body that nobody reads may be of any type', async () => {
    assert.equal(
      (await answerOf('POST', '/containers/web/stop', { body: '{"t":0}', headers: { 'Content-Type': 'text/plain' } })).status,
      204,
    );
    assert.equal((await answerOf('POST', '/containers/web/stop')).status, 204);
  });
});

describe('POST /containers/create', () => {
  const create = (body: string, fake = fakeServices()) => answerOf('POST', '/containers/create?name=n', { body }, fake);

  it('keeps what was asked, with defaults for null and absent fields', async () => {
    const fake = fakeServices();
    const { status, body } = await create(
      '{"Image":"busybox","cmd":"ls","Env":null,"ExposedPorts":{"80":{}},"HostConfig":{"portBindings":{"80":null},"Memory":7},"Unknown":1}\n',
      fake,
    );
    assert.equal(status, 201);
    assert.equal(body, `{"Id":"${containerId}","Warnings":[]}\n`);
    const [request] = fake.created;
    assert.equal(request?.name, 'n');
    assert.deepEqual(request?.config.Cmd, ['ls']);
    assert.deepEqual(request?.config.Env, []);
    assert.deepEqual(request?.config.ExposedPorts, { '80/tcp': {} });
    assert.deepEqual(request?.hostConfig.PortBindings, { '80/tcp': [] });
    assert.equal(request?.hostConfig.Memory, 7);
    assert.equal(request?.hostConfig.Binds, null);
  });

  it('SEC: a label named __proto__ is a label', async () => {
    const fake = fakeServices();
    await create('{"Image":"busybox","Labels":{"__proto__":"x","a":"b"}}', fake);
    assert.deepEqual(Object.entries(fake.created[0]?.config.Labels ?? {}), [
      ['__proto__', 'x'],
      ['a', 'b'],
    ]);
  });

  const refused: readonly (readonly [string, RegExp])[] = [
    ['', /config cannot be empty/],
    ['{"Image":', /invalid JSON in the request body/],
    ['{"Image":"x"} {}', /invalid JSON/],
    ['[]', /the body must be an object, not a list/],
    ['{"Tty":"yes"}', /Tty must be a boolean, not a string/],
    ['{"HostConfig":{"Memory":9007199254740993}}', /HostConfig.Memory is out of range/],
    ['{"Env":["A=1",2]}', /Env.1 must be a string, not a number/],
    ['{"NetworkingConfig":{"EndpointsConfig":{"n":{"Aliases":[1]}}}}', /NetworkingConfig.EndpointsConfig.n.Aliases.0 must be a string/],
  ];
  for (const [body, expected] of refused) {
    it(`refuses ${body === '' ? 'an empty body' : body}`, async () => {
      const answer = await create(body);
      assert.ok(answer.status === 400 || answer.status === 501, `${answer.status}`);
      assert.match(message(answer.body), expected);
    });
  }

  it('SEC-32: a value that may be a secret is not in the error', async () => {
    assert.doesNotMatch((await create('{"Env":"PASSWORD=hunter2"}')).body, /hunter2/);
  });
});

describe('containers', () => {
  it('GET json works with both forms of filters and refuses others', async () => {
    assert.equal((await answerOf('GET', `/containers/json?filters=${encodeURIComponent('{"name":{"web":true}}')}`)).status, 200);
    assert.equal((await answerOf('GET', `/containers/json?filters=${encodeURIComponent('{"name":["web"]}')}`)).status, 200);
    assert.equal((await answerOf('GET', '/containers/json?filters=&limit=-1&all=0&size=0&trunc_cmd=0')).status, 200);
    assert.equal((await answerOf('GET', '/containers/json?filters=%7B')).status, 400);
  });

  it('start of a running one is 304, stop 204', async () => {
    assert.equal((await answerOf('POST', '/containers/web/start')).status, 304);
    assert.equal((await answerOf('POST', '/v1.41/containers/web/stop?t=1')).status, 204);
  });

  it('kill without a signal is KILL', async () => {
    const fake = fakeServices();
    await answerOf('POST', '/containers/web/kill', {}, fake);
    await answerOf('POST', '/containers/web/kill?signal=TERM', {}, fake);
    assert.deepEqual(
      fake.calls.filter((call) => call.startsWith('web ')),
      ['web KILL', 'web TERM'],
    );
  });

  it('inspect has the fields of its version', async () => {
    const old = JSON.parse((await answerOf('GET', '/v1.41/containers/web/json')).body);
    const current = JSON.parse((await answerOf('GET', '/containers/web/json')).body);
    assert.equal(old.HostConfig.KernelMemory, 0);
    assert.equal('KernelMemory' in current.HostConfig, false);
    assert.equal(current.State.Running, true);
    assert.equal(current.State.StartedAt, '2023-11-14T22:13:20.12Z');
    assert.equal(current.State.FinishedAt, '0001-01-01T00:00:00Z');
    assert.equal(current.NetworkSettings.IPAddress, '');
    assert.deepEqual(Object.keys(current.NetworkSettings.Networks), ['none']);
  });

  it('SEC-17: a reference with slashes finds nothing', async () => {
    assert.equal((await answerOf('GET', '/containers/..%2f..%2fetc/json')).status, 404);
    assert.equal((await answerOf('GET', '/volumes/..%2f..%2fetc')).status, 404);
  });
});

describe('wait', () => {
  it('sends its headers before the container ends', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = connect(server.path);
    socket.write(head('POST', '/v1.41/containers/web/wait?condition=next-exit', { 'Content-Length': '0', Connection: 'close' }));
    const first = await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'));
    assert.match(first.toString(), /^HTTP\/1.1 200 OK\r\n/);
    assert.match(first.toString(), /Content-Type: application\/json/);
    fake.finishWait({ statusCode: 7, error: null });
    socket.resume();
    const whole = parseAnswer(Buffer.concat([first, await readAll(socket)]));
    assert.equal(whole.body, '{"Error":null,"StatusCode":7}\n');
    assert.ok(fake.calls.includes('next-exit'));
  });

  it('leaves Error out from 1.42 on, and refuses a wrong condition there', async () => {
    const fake = fakeServices();
    fake.finishWait({ statusCode: 0, error: null });
    assert.equal((await answerOf('POST', '/v1.42/containers/web/wait', {}, fake)).body, '{"StatusCode":0}\n');
    assert.equal((await answerOf('POST', '/v1.42/containers/web/wait?condition=x', {}, fake)).status, 400);
    assert.equal((await answerOf('POST', '/v1.41/containers/web/wait?condition=x', {}, fake)).status, 200);
    const ready = await answerOf('POST', '/containers/web/wait?condition=port%3D53%2Fudp', {}, fake);
    assert.deepEqual([ready.body.trim(), fake.calls.at(-1)], ['{"StatusCode":3,"Error":{"Message":"it exited"}}', 'port 53/udp']);
    assert.equal((await answerOf('POST', '/containers/web/wait?condition=port%3D70000', {}, fake)).status, 400);
  });
});

describe('hijacked streams', () => {
  const upgrade = { Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Type': 'text/plain', 'Content-Length': '0' };

  it("attach answers exactly Docker's 101, half-closes stdin and ends with the output", async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = connect({ path: server.path, allowHalfOpen: true });
    socket.write(head('POST', '/v1.41/containers/web/attach?stream=1&stdin=1&stdout=1', upgrade));
    const start = await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'));
    assert.equal(
      start.toString(),
      'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
    );
    socket.end('hello');
    await until(() => fake.stdinEnded);
    assert.equal(Buffer.concat(fake.stdin).toString(), 'hello');
    const rest = readAll(socket);
    socket.resume();
    fake.output.end('bye');
    assert.equal((await rest).toString(), 'bye');
    await until(() => fake.sessionDestroyed);
  });

  it('bytes sent right behind the request reach the container', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = connect(server.path);
    socket.write(`${head('POST', '/containers/web/attach?stream=1&stdin=1', upgrade)}early`);
    await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'));
    await until(() => Buffer.concat(fake.stdin).toString() === 'early');
    socket.destroy();
    fake.clientGone = true;
    await until(() => fake.sessionDestroyed);
  });

  it('the content type tells the framing from 1.42 on', async () => {
    for (const [version, tty, type] of [
      ['1.42', false, 'multiplexed'],
      ['1.42', true, 'raw'],
      ['1.41', false, 'raw'],
    ] as const) {
      const fake = fakeServices();
      fake.view = { ...fake.view, config: { ...fake.view.config, Tty: tty } };
      await using server = await serve(fake);
      const socket = connect(server.path);
      socket.write(head('POST', `/v${version}/containers/web/attach?stream=1&stdout=1`, upgrade));
      assert.match((await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'))).toString(), new RegExp(`vnd.docker.${type}-stream`));
      socket.destroy();
    }
  });

  it('exec start reads its body first, with and without an upgrade', async () => {
    for (const [headers, expected] of [
      [{ Connection: 'Upgrade', Upgrade: 'tcp' }, 'HTTP/1.1 101 UPGRADED\r\n'],
      [{}, 'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n'],
    ] as const) {
      const fake = fakeServices();
      await using server = await serve(fake);
      const socket = connect({ path: server.path, allowHalfOpen: true });
      const body = '{"Detach":false,"Tty":false}\n';
      const plain: Record<string, string> = { ...headers };
      socket.write(
        head('POST', `/exec/${execId}/start`, { ...plain, 'Content-Type': 'application/json', 'Content-Length': String(body.length) }) +
          body,
      );
      const start = await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'));
      assert.ok(start.toString().startsWith(expected), start.toString());
      socket.end('in');
      await until(() => fake.stdinEnded);
      assert.equal(Buffer.concat(fake.stdin).toString(), 'in');
      const rest = readAll(socket);
      socket.resume();
      fake.output.end('out');
      assert.equal((await rest).toString(), 'out');
    }
  });

  it('exec start waits for a body that comes late, with stdin right behind it', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = connect({ path: server.path, allowHalfOpen: true });
    const body = '{"Detach":false,"Tty":false}\n';
    const headers = { Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Type': 'application/json', 'Content-Length': String(body.length) };
    socket.write(head('POST', `/exec/${execId}/start`, headers));
    await delay(50);
    socket.write(body.slice(0, 5));
    await delay(50);
    socket.write(`${body.slice(5)}early`);
    assert.match((await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'))).toString(), /^HTTP\/1.1 101 UPGRADED/);
    socket.end(' late');
    await until(() => fake.stdinEnded);
    assert.equal(Buffer.concat(fake.stdin).toString(), 'early late');
    const rest = readAll(socket);
    socket.resume();
    fake.output.end('out');
    assert.equal((await rest).toString(), 'out');
    await until(() => fake.sessionDestroyed);
  });

  it('a late body that is wrong is answered', async () => {
    await using server = await serve(fakeServices());
    const socket = connect(server.path);
    socket.write(
      head('POST', `/exec/${execId}/start`, {
        Connection: 'Upgrade',
        Upgrade: 'tcp',
        'Content-Type': 'application/json',
        'Content-Length': '3',
      }),
    );
    await delay(50);
    socket.write('{x}');
    const answer = parseAnswer(await readAll(socket));
    assert.equal(answer.status, 400);
    assert.match(message(answer.body), /invalid JSON/);
  });

  it('an exec that could not be run says why on its stream', async () => {
    const fake = fakeServices();
    fake.exec = { ...fake.exec, exitCode: 127 };
    const { status, body } = await answerOf('POST', `/exec/${execId}/start`, { body: '{}' }, fake);
    assert.equal(status, 200);
    assert.match(body, /executable file not found/);
    assert.equal((await answerOf('POST', `/exec/${execId}/start`, { body: '{"Detach":true}' }, fake)).status, 409);
    assert.equal((await answerOf('POST', '/exec/nope/start', { body: '{}' }, fake)).status, 404);
  });

  it('an error before the upgrade is an ordinary answer', async () => {
    await using server = await serve(fakeServices());
    const socket = connect(server.path);
    socket.write(head('POST', '/containers/nope/attach?stream=1', upgrade));
    const answer = parseAnswer(await readAll(socket));
    assert.equal(answer.status, 404);
    assert.equal(message(answer.body), 'No such container: nope');
  });

  it('a client that leaves takes its session with it', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = connect(server.path);
    socket.pause();
    socket.write(head('POST', '/containers/web/attach?stream=1&stdout=1', upgrade));
    await delay(50);
    socket.destroy();
    fake.clientGone = true;
    await until(() => fake.sessionDestroyed);
  });
});

describe('events', () => {
  it('replays since, keeps the order and ends at until', async () => {
    const fake = fakeServices();
    fake.events.publish({ type: 'container', action: 'create', id: containerId, attributes: { name: 'web', image: 'busybox' } });
    fake.events.publish({ type: 'container', action: 'start', id: containerId, attributes: { name: 'web', image: 'busybox' } });
    fake.events.publish({ type: 'image', action: 'tag', id: 'sha256:1', attributes: { name: 'x' } });
    const until = Date.now() / 1000 + 0.1;
    const { body } = await answerOf(
      'GET',
      `/events?since=1&until=${until}&filters=${encodeURIComponent('{"type":["container"]}')}`,
      {},
      fake,
    );
    const lines = body.trim().split('\n');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).Action),
      ['create', 'start'],
    );
    assert.match(
      lines[0] ?? '',
      /^\{"status":"create","id":"abab.*","from":"busybox","Type":"container".*"time":\d{10},"timeNano":\d{19}\}$/,
    );
  });

  it('refuses filters that do not exist', async () => {
    assert.equal(message((await answerOf('GET', `/events?filters=${encodeURIComponent('{"x":["y"]}')}`)).body), "invalid filter 'x'");
  });
});

describe('images', () => {
  it('have names with slashes, and the longest suffix wins', async () => {
    assert.equal(message((await answerOf('GET', '/images/a/b/c:1/json')).body), 'No such image: a/b/c:1');
    assert.equal((await answerOf('GET', '/images/busybox/json')).status, 200);
    assert.equal((await answerOf('GET', '/images/busybox/history')).status, 200);
    assert.equal((await answerOf('POST', '/images/busybox/tag?repo=a/b&tag=c')).status, 201);
    assert.equal((await answerOf('DELETE', '/images/busybox')).body, '[{"Untagged":"busybox:latest"}]\n');
    assert.match(
      (await answerOf('POST', '/images/a/b/push')).body,
      /^{"status":"The push refers to repository \[docker.io\/library\/a\/b\]"}\r\n/,
    );
  });

  it('load streams its body and its progress', async () => {
    const { headers, body } = await answerOf('POST', '/images/load?quiet=1', {
      body: 'x'.repeat(100_000),
      headers: { 'Content-Type': 'application/x-tar' },
    });
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(body, '{"stream":"Loaded image: 100000\\n"}\r\n');
  });

  it('have the fields of their version', async () => {
    const fields = async (version: string) => Object.keys(JSON.parse((await answerOf('GET', `/v${version}/images/busybox/json`)).body));
    assert.ok((await fields('1.43')).includes('VirtualSize'));
    assert.ok(!(await fields('1.44')).includes('VirtualSize'));
    assert.ok((await fields('1.44')).includes('ContainerConfig'));
    assert.ok(!(await fields('1.45')).includes('ContainerConfig'));
    const config = async (version: string) => JSON.parse((await answerOf('GET', `/v${version}/images/busybox/json`)).body).Config;
    assert.equal((await config('1.49')).Tty, false);
    assert.equal((await config('1.50')).Tty, undefined);
  });
});

describe('what is not built', () => {
  it('names itself', async () => {
    assert.equal((await answerOf('POST', '/plugins/create', { body: '' })).status, 501);
  });

  it('prune and list of what there is none of are empty', async () => {
    assert.equal((await answerOf('POST', '/volumes/prune')).body, '{"VolumesDeleted":null,"SpaceReclaimed":0}\n');
    assert.equal((await answerOf('POST', '/networks/prune?filters=')).body, '{"NetworksDeleted":null}\n');
    assert.equal((await answerOf('POST', '/build/prune?all=1&filters=')).status, 200);
    assert.equal(message((await answerOf('GET', '/volumes/v')).body), 'get v: no such volume');
    assert.equal(message((await answerOf('GET', '/networks/n')).body), 'network n not found');
    assert.equal((await answerOf('GET', '/services')).status, 503);
  });
});

it('malformed HTTP is answered, and the next connection works', async () => {
  await using server = await serve(fakeServices());
  const socket = connect(server.path);
  socket.write('rubbish\r\n\r\n');
  assert.match((await readAll(socket)).toString(), /^HTTP\/1.1 400 Bad Request/);
  assert.equal((await request(server.path, 'GET', '/_ping')).status, 200);
});

it('a body beyond the limit is refused while it is sent', async () => {
  const { status, body } = await answerOf('POST', '/containers/create', { body: Buffer.alloc(9 * 1024 * 1024, ' ') });
  assert.equal(status, 400);
  assert.match(message(body), /larger than/);
});

it('drain ends streams and refuses new requests', async () => {
  const fake = fakeServices();
  const api = createApiServer({ routes: apiRoutes(fake), engineVersion: '0.1.0', logger: silentLogger });
  await using server = await serveOnUnix(api.createListener());
  const events = request(server.path, 'GET', '/events');
  await until(() => fake.events.listenerCount === 1);
  await api.drain(1000);
  assert.equal((await events).status, 200);
  assert.equal((await request(server.path, 'GET', '/version')).status, 503);
});

async function until(test: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    if (test()) return;
    await delay(10);
  }
  assert.fail('what was waited for did not happen within 10 s');
}
