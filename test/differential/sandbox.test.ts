/**
 * The sandbox seen from inside equals the peer's, except where ours is stricter or newer: every difference is listed below with its reason, anything else fails.
 * Needs root, the docker CLI, the peer (Debian's docker.io), busybox-static and a C compiler.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { busyboxArchive } from '../harness/images.ts';
import { type Peer, peerMissing, startPeer } from '../harness/peer.ts';

/** Tries every system call with senseless arguments, each in a child of its own, and prints how the sandbox answers. */
const prober = String.raw`
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  for (long nr = 0; nr < 470; nr++) {
    /* read, pause-like and exit-like calls would block or end the child in every sandbox alike */
    int fds[2]; if (pipe(fds)) return 1;
    pid_t pid = fork();
    if (pid == 0) {
      alarm(1);
      close(0);
      long result = syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
      char c = result == -1 && errno == EPERM ? 'P' : result == -1 && errno == ENOSYS ? 'N' : 'o';
      if (write(fds[1], &c, 1) != 1) _exit(2);
      _exit(0);
    }
    close(fds[1]);
    char c = 'x';
    if (read(fds[0], &c, 1) != 1) c = 'x';
    close(fds[0]);
    waitpid(pid, 0, 0);
    printf("%ld %c\n", nr, c);
  }
  return 0;
}`;

const probes: readonly (readonly [string, string])[] = [
  ['capabilities and seccomp', 'grep -E "^(Cap|Seccomp:|NoNewPrivs|Groups|Uid|Gid)" /proc/self/status'],
  [
    'mounts and their options',
    'sed "s/^[^ ]* //" /proc/mounts | grep -v " cgroup" | sed "s/lowerdir=.*/LAYERS/; s/ ext4 .*/ ext4/" | sort',
  ],
  ['cgroup mounts', 'grep cgroup /proc/mounts | cut -d" " -f2- | sed "s/ro,nosuid.*/ro/" | sort'],
  ['devices', 'ls -ln /dev | grep -v "^total" | awk "{print \\$1,\\$3,\\$4,\\$5,\\$6,\\$NF}" | sed "s/ [0-9]*:[0-9]* / /" | sort'],
  ['device cgroup', 'sort /sys/fs/cgroup/devices/devices.list'],
  [
    'masked and read-only paths',
    'for p in /proc/acpi /proc/kcore /proc/keys /proc/timer_list /proc/scsi /sys/firmware; do if [ -d $p ]; then ls $p | wc -l; elif [ -e $p ]; then wc -c <$p; fi; done; for p in /proc/sys/kernel/panic /proc/sysrq-trigger /proc/irq/0/x /sys/kernel/x; do (echo 0 >$p) 2>/dev/null && echo "$p writable"; done; true',
  ],
  ['limits', 'ulimit -a; cat /proc/self/oom_score_adj'],
  [
    'sysctls',
    'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max',
  ],
  ['environment and process', 'env | sort; pwd; umask; cat /proc/1/comm; cat /proc/self/sessionid; ls /proc/self/fd'],
  ['session and process group of init', 'cut -d" " -f5,6,7 /proc/1/stat'],
  [
    'etc files',
    'cat /etc/hosts | grep -v "box$"; ls -ln /etc/hosts /etc/hostname /etc/resolv.conf /.dockerenv | awk "{print \\$1,\\$3,\\$4,\\$NF}"; readlink /etc/mtab',
  ],
  ['keyring', 'grep -c . /proc/keys'],
];

/** Lines that only one side prints, with the reason. */
const accepted: readonly { readonly line: RegExp; readonly why: string }[] = [
  {
    line: /^(\/proc\/(asound|interrupts|latency_stats|sched_debug|scsi|timer_stats|kcore|sysrq-trigger)|\/sys\/devices\/.*) /,
    why: 'newer masked paths of moby that 20.10 or its kernel view lacks',
  },
  { line: / (tmpfs|devtmpfs) .*inode64/, why: 'the new mount API makes tmpfs print inode64' },
];

/** System calls whose answer may differ, with the reason. */
const acceptedCalls: Readonly<Record<number, string>> = {
  435: 'clone3: both ENOSYS; kept for kernels where runc 1.1.5 answers EPERM',
};

const missing = peerMissing();

suite('the sandbox seen from inside', { skip: missing ?? false }, () => {
  let peer: Peer;
  let gantry: GantryDaemon;
  let work: string;
  let noCompiler: string | null = null;

  before(async () => {
    const archive = await busyboxArchive();
    if (archive === null) throw new Error('needs busybox (apt-get install busybox-static)');
    work = mkdtempSync(join(tmpdir(), 'gantry-sandbox-'));
    writeFileSync(join(work, 'prober.c'), prober);
    const compiled = await shell(`cc -O1 -static -o ${work}/prober ${work}/prober.c`);
    if (compiled.status !== 0) noCompiler = compiled.stderr;
    [peer, gantry] = await Promise.all([startPeer(), startGantry()]);
    for (const host of [peer.host, gantry.host])
      assert.equal((await runCommand(['docker', '-H', host, 'load', '-q', '-i', archive])).status, 0);
  });
  after(async () => {
    await gantry?.dispose();
    await peer?.stop();
    if (work !== undefined) rmSync(work, { recursive: true, force: true });
  });

  const inside = async (host: string, args: readonly string[], script: string): Promise<string[]> => {
    const { status, stdout, stderr } = await runCommand([
      'docker',
      '-H',
      host,
      'run',
      '--rm',
      '--network',
      'none',
      '-h',
      'box',
      ...args,
      'busybox',
      'sh',
      '-c',
      script,
    ]);
    assert.equal(status, 0, `${script}: ${stderr}`);
    return stdout.trimEnd().split('\n');
  };

  for (const [name, script] of probes) {
    for (const args of [[], ['-u', '1000:1000', '--read-only', '--cap-drop', 'NET_RAW']] as const) {
      test(`${name}${args.length > 0 ? ' (a user, read-only root)' : ''}`, async () => {
        const [theirs, ours] = await Promise.all([inside(peer.host, args, `${script} 2>&1`), inside(gantry.host, args, `${script} 2>&1`)]);
        assert.deepEqual(
          difference(ours, theirs)
            .map((line) => `only ours: ${line}`)
            .concat(difference(theirs, ours).map((line) => `only the peer: ${line}`)),
          [],
        );
      });
    }
  }

  test('namespaces: shared with the host exactly where the peer shares them', async () => {
    const shared = async (host: string): Promise<string[]> => {
      const links = await inside(host, [], 'for n in cgroup ipc mnt net pid time user uts; do echo $n $(readlink /proc/self/ns/$n); done');
      const hostLinks = (await shell('for n in cgroup ipc mnt net pid time user uts; do echo $n $(readlink /proc/self/ns/$n); done')).stdout
        .trimEnd()
        .split('\n');
      return links.filter((line) => hostLinks.includes(line)).map((line) => line.split(' ')[0] ?? '');
    };
    // The peer itself lives in network and mount namespaces of its own; what containers share with the machine is comparable all the same.
    assert.deepEqual(await shared(gantry.host), await shared(peer.host));
  });

  test('every system call gets the answer it gets on the peer, or a stricter one', async (context) => {
    if (noCompiler !== null) return context.skip(`needs a C compiler with a static libc: ${noCompiler}`);
    const table = async (host: string): Promise<string[]> => {
      const { status, stdout, stderr } = await runCommand(
        ['docker', '-H', host, 'run', '--rm', '--network', 'none', '-v', `${work}:/w:ro`, 'busybox', '/w/prober'],
        { timeoutMs: 120_000 },
      );
      assert.equal(status, 0, stderr);
      return stdout.trimEnd().split('\n');
    };
    const [theirs, ours] = [await table(peer.host), await table(gantry.host)];
    const looser = ours.filter(
      (line, index) =>
        line !== theirs[index] && acceptedCalls[Number.parseInt(line, 10)] === undefined && !isStricter(line, theirs[index] ?? ''),
    );
    assert.deepEqual(
      looser.map((line) => `ours ${line}, peer ${theirs[Number.parseInt(line, 10)]}`),
      [],
    );
    assert.equal(ours.length, 470);
    return undefined;
  });
});

function isStricter(ours: string, theirs: string): boolean {
  return /[PN]$/.test(ours) && !/[PN]$/.test(theirs);
}

function difference(one: readonly string[], other: readonly string[]): string[] {
  return one.filter((line) => !other.includes(line) && !accepted.some((known) => known.line.test(line)));
}
