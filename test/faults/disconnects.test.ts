/**
 * Clients that attach, resize and vanish, again and again (CVE-2022-23471, CVE-2025-64329): daemon and monitor stay as they were. A sample of the soak's ten thousand.
 * Needs root, the docker CLI and busybox-static.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { engineCall, engineRequest } from './engine-request.ts';
import { type Footprint, footprintOf, processesOf } from './residue.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const rounds = 400;
const growthKb = 32 * 1024;

suite('FAULT clients that attach, resize and vanish', { skip }, () => {
  let daemon: GantryDaemon;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    const { status, stderr } = await runCommand(['docker', '-H', daemon.host, 'run', '-d', '-i', '-t', '--name', 'shell', 'busybox', 'sh']);
    assert.equal(status, 0, stderr);
  });

  after(() => daemon?.dispose());

  test(`${rounds} of them leave no descriptor, no memory and a container that answers`, async (context) => {
    for (let round = 0; round < rounds / 4; round++) await attachAndVanish(round);
    const before = await settled();
    for (let round = 0; round < rounds; round++) await attachAndVanish(round);
    const [daemonAfter, monitorAfter] = await settled(before);
    const [daemonBefore, monitorBefore] = before;
    context.diagnostic(JSON.stringify({ daemonBefore, daemonAfter, monitorBefore, monitorAfter }));
    assert.ok(
      daemonAfter.descriptors <= daemonBefore.descriptors + 4,
      `descriptors of the daemon: ${daemonBefore.descriptors} to ${daemonAfter.descriptors}`,
    );
    assert.equal(monitorAfter.descriptors, monitorBefore.descriptors, 'descriptors of the monitor');
    assert.ok(daemonAfter.residentKb - daemonBefore.residentKb < growthKb, 'memory of the daemon');
    assert.ok(monitorAfter.residentKb - monitorBefore.residentKb < 256, 'memory of the monitor');
    assert.equal(await engineCall(daemon.host, 'POST', '/containers/shell/resize?h=20&w=30'), '');
    const size = await runCommand(['docker', '-H', daemon.host, 'exec', 'shell', 'stty', '-F', '/dev/pts/0', 'size']);
    assert.equal(size.stdout, '20 30\n', size.stderr);
  });

  /** In different moments: at once, after the answer, in the middle of output. */
  async function attachAndVanish(round: number): Promise<void> {
    const socket = connect(daemon.host.replace('unix://', ''));
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(
      'POST /containers/shell/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n',
    );
    if (round % 3 > 0) await once(socket, 'data');
    if (round % 3 === 2) socket.write('echo some output of a shell\n');
    const resized = engineRequest(daemon.host, 'POST', `/containers/shell/resize?h=${10 + (round % 20)}&w=80`);
    socket.destroy();
    assert.ok([200, 204].includes((await resized)?.status ?? 0));
  }

  /** When what the last ones left is cleared away, or in the end. */
  async function settled(goal?: readonly Footprint[]): Promise<readonly [Footprint, Footprint]> {
    const monitor = processesOf(daemon).find(({ name }) => name === 'gantry-monitor');
    assert.ok(monitor);
    for (let attempt = 0; ; attempt++) {
      await delay(attempt === 0 ? 1000 : 250);
      const now = [footprintOf(daemon.pid), footprintOf(monitor.pid)] as const;
      const isDone = goal === undefined || now.every(({ descriptors }, index) => descriptors <= (goal[index]?.descriptors ?? 0));
      if (isDone || attempt > 40) return now;
    }
  }
});
