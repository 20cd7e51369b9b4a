/** Clients that ask for streams and never read them: others do not notice, and the daemon's memory stays flat. Needs root, the docker CLI, busybox-static. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { engineCall, engineRequest } from './engine-request.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

const rounds = 250;

suite('stuck clients', { skip }, () => {
  let daemon: GantryDaemon;
  const stuck: Socket[] = [];

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(async () => {
    for (const socket of stuck) socket.destroy();
    await daemon?.dispose();
  });

  test('100 of them: of logs, attach and events', async (context) => {
    await run('noisy', ['sh', '-c', 'yes "a line of the length that lines of logs usually have"'], {});
    // Its events are large, so that a few hundred fill what waits for a client.
    await run('talked-about', ['sleep', '1000'], { label: 'x'.repeat(20_000) });
    const before = residentMegabytes(daemon.pid);
    for (let index = 0; index < 100; index++) stuck.push(await neverRead(requests[index % 3] ?? ''));
    await delay(1000);
    const pings: number[] = [];
    const healthy = await eventReader();
    for (let round = 0; round < rounds; round++) {
      await engineCall(daemon.host, 'POST', `/containers/talked-about/resize?h=${(round % 50) + 1}&w=80`);
      const start = performance.now();
      assert.equal((await engineRequest(daemon.host, 'GET', '/_ping'))?.status, 200);
      pings.push(performance.now() - start);
    }
    await healthy.untilEvents(rounds);
    const shown = await runCommand(['docker', '-H', daemon.host, 'logs', '--tail', '5', 'noisy'], { timeoutMs: 20_000 });
    assert.equal(shown.stdout.split('\n').length, 6);
    await cutOff();
    const grown = residentMegabytes(daemon.pid) - before;
    const slowest = Math.max(...pings);
    context.diagnostic(`grew by ${grown} MB, slowest ping ${Math.round(slowest)} ms`);
    assert.ok(slowest < 1000, `a ping took ${slowest} ms`);
    assert.ok(grown < 160, `grew by ${grown} MB`);
  });

  async function eventReader() {
    let events = 0;
    const path = `/v1.51/events?filters=${encodeURIComponent(JSON.stringify({ event: ['resize'] }))}`;
    const sent = request({ socketPath: daemon.host.replace('unix://', ''), path, agent: false });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.on('data', (chunk: Buffer) => {
      for (const byte of chunk) if (byte === 0x0a) events++;
    });
    return {
      async untilEvents(count: number) {
        for (let tries = 0; tries < 400 && events < count; tries++) await delay(50);
        assert.equal(events, count);
        sent.destroy();
      },
    };
  }

  const requests = [
    'GET /v1.41/containers/noisy/logs?stdout=1&stderr=1&follow=1 HTTP/1.1',
    'POST /v1.41/containers/noisy/attach?stream=1&stdout=1&stderr=1 HTTP/1.1',
    'GET /v1.41/events HTTP/1.1',
  ];

  async function run(name: string, command: readonly string[], labels: Record<string, string>): Promise<void> {
    const logs = { Type: 'json-file', Config: { 'max-size': '5m', 'max-file': '2' } };
    const body = {
      Image: 'busybox',
      Cmd: command,
      Tty: name === 'talked-about',
      Labels: labels,
      HostConfig: { NetworkMode: 'none', LogConfig: logs },
    };
    await engineCall(daemon.host, 'POST', `/containers/create?name=${name}`, body);
    await engineCall(daemon.host, 'POST', `/containers/${name}/start`);
  }

  async function neverRead(line: string): Promise<Socket> {
    const socket = connect(daemon.host.replace('unix://', ''));
    socket.on('error', () => {});
    socket.pause();
    await new Promise((resolve) => socket.once('connect', resolve));
    const upgrade = line.startsWith('POST') ? 'Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n' : '';
    socket.write(`${line}\r\nHost: docker\r\n${upgrade}\r\n`);
    return socket;
  }

  /** Listeners of events that read nothing are let go by the daemon; they would find their connection closed. */
  async function cutOff(): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      const info = JSON.parse((await engineRequest(daemon.host, 'GET', '/info'))?.body ?? '{}') as { NEventsListener?: number };
      if (info.NEventsListener === 0) return;
      await delay(50);
    }
    throw new Error('clients that read no events are still listened to');
  }
});

function residentMegabytes(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
}
