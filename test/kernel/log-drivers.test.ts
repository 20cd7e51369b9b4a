/** Log drivers through the real docker CLI: receivers on loopback, lines that wait for receiver and daemon. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { streamReceiver, udpReceiver, until } from '../../src/containers/logging/receivers.ts';
import { shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('log drivers', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = async (command: string) => await shell(command.replaceAll('docker ', `docker -H ${daemon.host} `), { timeoutMs: 60_000 });
  const counted = (lines: string) => lines.split('\n').flatMap((line) => /line (\d+)$/.exec(line)?.[1] ?? []);
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1));

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  test('syslog: lines of a container that removes itself have all arrived; logs and details work beside it', async (context) => {
    const receiver = await streamReceiver(context);
    const options = `--log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:${receiver.port} --log-opt tag={{.Name}} --network none`;
    await docker(`docker run --rm --name slog ${options} busybox sh -c 'for i in $(seq 500); do echo line $i; done'`);
    await until(() => counted(receiver.text()).length >= 500, 'all lines');
    assert.deepEqual(counted(receiver.text()), upTo(500));
    assert.match(receiver.text(), /^<30>\w{3} [ \d]\d \d\d:\d\d:\d\d slog\[\d+\]: line 1\n/);
    const kept = await docker(
      `docker run --name kept ${options} --label tier=front --log-opt labels=tier busybox echo hello; docker logs --details kept; docker inspect -f '[{{.LogPath}}]' kept`,
    );
    assert.equal(kept.stdout, 'hello\ntag=kept,tier=front hello\n[]\n');
  });

  test('fluentd: what was written while daemon and receiver were away arrives when both are back, in order and whole', async (context) => {
    const path = join(daemon.directory, 'fluentd.sock');
    const options = `--log-driver fluentd --log-opt fluentd-address=unix://${path} --log-opt fluentd-async=true --log-opt fluentd-retry-wait=50ms`;
    await docker(
      `docker run -d --name away --network none ${options} busybox sh -c 'for i in $(seq 300); do echo line $i; sleep 0.01; done; sleep 1000'`,
    );
    const first = await streamReceiver(context, { path });
    await until(() => first.text().includes('line 10'), 'some lines');
    await daemon.crash();
    await first.stop();
    await daemon.restart();
    await shell('sleep 1');
    const second = await streamReceiver(context, { path });
    await until(() => second.text().includes('line 300'), 'the last line');
    const received = [...`${first.text()}\n${second.text()}`.matchAll(/line (\d+)/g)].map(([, line]) => Number(line));
    // At least once: none is missing, and what is doubled is doubled in order.
    assert.deepEqual(
      [...new Set(received)].sort((a, b) => a - b),
      upTo(300).map(Number),
    );
    // A daemon that is asked to stop waits for no container's lines.
    await daemon.stop();
    await daemon.restart();
    const { stdout } = await docker('docker logs away | tail -n 1; docker rm -f away');
    assert.equal(stdout, 'line 300\naway\n');
  });

  test('a receiver that cannot be reached fails the start in Docker’s words, and not a driver that may wait', async () => {
    const refused = await docker(
      'docker run --rm --network none --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:1 busybox true',
    );
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, /failed to initialize logging driver: dial tcp 127\.0\.0\.1:1: .*ECONNREFUSED/);
    const journald = await docker('docker run --rm --network none --log-driver journald busybox true');
    if (journald.status !== 0) assert.match(journald.stderr, /failed to initialize logging driver: journald is not enabled on this host/);
    const lazy = await docker(
      'docker run --name lazy --network none --log-driver fluentd --log-opt fluentd-async=true busybox echo hi; docker logs lazy',
    );
    assert.equal(lazy.stdout, 'hi\nhi\n');
  });

  test('gelf over udp, none, and a cache that is switched off', async (context) => {
    const { port, datagrams } = await udpReceiver(context);
    await docker(
      `docker run --rm --network none --log-driver gelf --log-opt gelf-address=udp://127.0.0.1:${port} --log-opt gelf-compression-type=none busybox echo hello`,
    );
    await until(() => datagrams.length === 1, 'a datagram');
    assert.equal(JSON.parse(String(datagrams[0])).short_message, 'hello');
    for (const options of [
      '--log-driver none',
      `--log-driver gelf --log-opt gelf-address=udp://127.0.0.1:${port} --log-opt cache-disabled=true`,
    ]) {
      const { stderr } = await docker(
        `docker run --name silent --network none ${options} busybox echo x; docker logs silent; docker rm silent`,
      );
      assert.match(stderr, /configured logging driver does not support reading/);
    }
  });

  test('local: rotated and compressed, logs whole', async () => {
    const options = '--log-driver local --log-opt max-size=20k --log-opt max-file=30';
    const { stdout } = await docker(
      `docker run --name packed --network none ${options} busybox sh -c 'for i in $(seq 3000); do echo line $i; done' | tail -n 1; docker logs packed`,
    );
    assert.deepEqual(counted(stdout), ['3000', ...upTo(3000)]);
    const { stdout: tail } = await docker(
      `docker logs --tail 2500 packed; ls ${daemon.dataRoot}/containers/*/ | grep -c 'log\\.a.*\\.gz$'`,
    );
    assert.deepEqual(counted(tail), upTo(3000).slice(-2500));
    assert.ok(Number(tail.trim().split('\n').at(-1)) >= 3, tail.slice(-100));
  });
});
