/**
 * Streams are byte exact and memory stays flat, through the real docker CLI and through ours. Needs root, the docker CLI, busybox-static and python3 (for terminals).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';

const megabytes = Number(process.env.GANTRY_STREAM_MEGABYTES ?? 256);
const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('streams', { skip }, () => {
  let daemon: GantryDaemon;
  const clis: readonly (readonly [string, () => string])[] = [
    ['docker', () => `docker -H ${daemon.host}`],
    ['gantry', () => `${process.execPath} --no-warnings ${programEntry} -H ${daemon.host}`],
  ];

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  for (const [name, cli] of clis) {
    test(`${name} run -i cat: ${megabytes} MB unchanged, the daemon's memory flat`, async () => {
      const before = residentKilobytes(daemon.pid);
      let peak = before;
      const watch = setInterval(() => {
        peak = Math.max(peak, residentKilobytes(daemon.pid));
      }, 50);
      // Pseudo-random bytes that both ends can hash without keeping them.
      const bytes = `openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c ${megabytes}M`;
      const { stdout, stderr } = await shell(
        `${bytes} | sha256sum; ${bytes} | ${cli()} run --rm -i --network none --log-driver none busybox cat | sha256sum`,
        { timeoutMs: 300_000 },
      );
      clearInterval(watch);
      const [sent, received] = stdout.trim().split('\n');
      assert.equal(received, sent, stderr);
      assert.ok(peak - before < 96 * 1024, `grew by ${peak - before} kB`);
    });

    test(`${name} run: output of the last moment before the exit is never lost`, async () => {
      const script = `for i in $(seq 15); do ${cli()} run --rm --network none busybox sh -c 'seq 3000 | tail -n 1000; echo end' | sha256sum; done | sort | uniq -c`;
      const { stdout } = await shell(script, { timeoutMs: 120_000 });
      assert.equal(stdout.trim().split('\n').length, 1, stdout);
      assert.match(stdout, /^\s+15 /);
    });

    test(`${name} run -i: half-close, and output after it still arrives`, async () => {
      const { stdout, status } = await shell(
        `printf 'abc' | ${cli()} run --rm -i --network none busybox sh -c 'wc -c; sleep 0.2; echo after; exit 3'`,
      );
      assert.equal(stdout, '3\nafter\n');
      assert.equal(status, 3);
    });

    test(`${name} exec -i: half-close and exit code`, async () => {
      await runCommand([
        'docker',
        '-H',
        daemon.host,
        'run',
        '-d',
        '--name',
        `half-${name}`,
        '--network',
        'none',
        'busybox',
        'sleep',
        '100',
      ]);
      const { stdout, status } = await shell(
        `seq 100000 | ${cli()} exec -i half-${name} sh -c 'sha256sum; exit 4'; echo $?; seq 100000 | sha256sum`,
      );
      const [ours, code, theirs] = stdout.trim().split('\n');
      assert.equal(ours, theirs);
      assert.equal(code, '4');
      assert.equal(status, 0);
      await runCommand(['docker', '-H', daemon.host, 'rm', '-f', `half-${name}`]);
    });

    test(`${name} run -it: a terminal of the right size, raw keys, and its exit code`, async () => {
      const { stdout, status } = await terminal(
        `${cli()} run --rm -it --network none busybox sh -c 'stty size; read x; echo got=$x; exit 5'`,
        ['hello\n'],
      );
      assert.match(stdout, /33 77/);
      assert.match(stdout, /got=hello/);
      assert.equal(status, 5, stdout);
    });

    test(`${name} run -it: ctrl-c reaches the container's foreground process`, async () => {
      const { stdout } = await terminal(
        `${cli()} run --rm -it --network none busybox sh -c 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done'`,
        ['\x03'],
      );
      assert.match(stdout, /caught/);
    });

    test(`${name} run -it: ctrl-p ctrl-q detaches and the container lives on`, async () => {
      await terminal(`${cli()} run -it --name detach-${name} --network none busybox sh -c 'echo ready; sleep 100'`, ['\x10\x11']);
      const state = await runCommand(['docker', '-H', daemon.host, 'inspect', '-f', '{{.State.Running}}', `detach-${name}`]);
      assert.equal(state.stdout.trim(), 'true');
      await runCommand(['docker', '-H', daemon.host, 'rm', '-f', `detach-${name}`]);
    });

    test(`${name} run: ctrl-c of an attached run without a terminal ends it`, async () => {
      const { stdout } = await shell(
        `timeout -s INT 2 ${cli()} run --rm --network none busybox sh -c 'trap "echo bye; exit 0" INT; while :; do sleep 0.1; done'; true`,
      );
      assert.equal(stdout, 'bye\n');
    });
  }

  test('a client that reads nothing delays neither kill nor exit, and other clients go on', async () => {
    const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);
    await docker('run', '-d', '--name', 'stuck', '--network', 'none', 'busybox', 'sh', '-c', 'yes');
    const stuck = shell(`docker -H ${daemon.host} attach --sig-proxy=false --no-stdin stuck | sleep 5; true`);
    await delay(500);
    const started = Date.now();
    assert.equal((await docker('kill', 'stuck')).status, 0);
    assert.equal((await docker('wait', 'stuck')).stdout, '137\n');
    assert.ok(Date.now() - started < 5000);
    await stuck;
    await docker('rm', 'stuck');
  });
});

/** Runs a command on a terminal of 33 × 77 made by Python, sends the keys one by one once output appears, and gives everything it printed. */
function terminal(command: string, keys: readonly string[]): Promise<CommandResult> {
  const program = `
import os, pty, sys, time, select, fcntl, termios, struct, json
keys = json.loads(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.execvp('sh', ['sh', '-c', sys.argv[1]])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 33, 77, 0, 0))
deadline = time.time() + 20
seen = b''
while time.time() < deadline:
    ready, _, _ = select.select([fd], [], [], 0.1)
    if ready:
        try: data = os.read(fd, 4096)
        except OSError: break
        if not data: break
        seen += data
        os.write(1, data)
    if keys and seen.strip():
        time.sleep(0.5)
        for key in keys: os.write(fd, key.encode())
        keys = []
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
`;
  return runCommand(['python3', '-c', program, command, JSON.stringify(keys)], { timeoutMs: 60_000 });
}

function residentKilobytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}
