/**
 * The sandbox seen from inside equals the peer's, except where ours is stricter or newer: every difference is listed below with its reason (and in
 * docs/differences.md for users). One that is not listed fails, and so does a listed one that no longer occurs.
 * Needs root, the docker CLI, the peer (Debian's docker.io), busybox-static and a C compiler.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { type Peer, peerMissing, startPeer } from '../harness/peer.ts';

/**
 * Tries every system call with senseless arguments, each in a child of its own, then a few with the arguments that the profile judges, and prints how the
 * sandbox answers: P for EPERM, N for ENOSYS, o for anything else, x when the child did not come back.
 */
const prober = String.raw`
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static char answer(long nr, long a, long b, long c, long d, long e, long f) {
  int fds[2]; if (pipe(fds)) return '?';
  pid_t pid = fork();
  if (pid == 0) {
    alarm(1);
    close(0);
    long result = syscall(nr, a, b, c, d, e, f);
    if (nr == SYS_clone && result == 0) _exit(0);
    char letter = result == -1 && errno == EPERM ? 'P' : result == -1 && errno == ENOSYS ? 'N' : 'o';
    if (write(fds[1], &letter, 1) != 1) _exit(2);
    _exit(0);
  }
  close(fds[1]);
  char letter = 'x';
  if (read(fds[0], &letter, 1) != 1) letter = 'x';
  close(fds[0]);
  waitpid(pid, 0, 0);
  return letter;
}
int main(void) {
  for (long nr = 0; nr < 470; nr++) printf("%ld %c\n", nr, answer(nr, -1, -1, -1, -1, -1, -1));
  for (long family = 0; family < 48; family++) printf("socket(%ld) %c\n", family, answer(SYS_socket, family, 2, 0, 0, 0, 0));
  printf("socket(38 with high half) %c\n", answer(SYS_socket, 38 | 1L << 32, 5, 0, 0, 0, 0));
  const long flags[] = { CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, 0x80 };
  for (int i = 0; i < 8; i++) {
    printf("clone(0x%lx) %c\n", flags[i], answer(SYS_clone, flags[i] | 17, 0, 0, 0, 0, 0));
    printf("unshare(0x%lx) %c\n", flags[i], answer(SYS_unshare, flags[i], 0, 0, 0, 0, 0));
  }
  const long kinds[] = { 0, 8, 0x20000, 0x20008, 0xffffffff, 0x40000, 1 };
  for (int i = 0; i < 7; i++) printf("personality(0x%lx) %c\n", kinds[i], answer(SYS_personality, kinds[i], 0, 0, 0, 0, 0));
  printf("ptrace(PTRACE_TRACEME) %c\n", answer(SYS_ptrace, 0, 0, 0, 0, 0, 0));
  printf("keyctl(KEYCTL_GET_KEYRING_ID) %c\n", answer(SYS_keyctl, 0, -3, 0, 0, 0, 0));
  return 0;
}`;

/** How the same container is looked at: options, and whether by its own process or by an exec beside it. */
const views: Readonly<Record<string, { readonly options: readonly string[]; readonly by: 'run' | 'exec' }>> = {
  default: { options: [], by: 'run' },
  exec: { options: [], by: 'exec' },
  'a user, read-only root': { options: ['-u', '1000:1000', '--read-only', '--cap-drop', 'NET_RAW'], by: 'run' },
  'exec by a user': { options: ['-u', '1000:1000', '--group-add', '4444'], by: 'exec' },
  limited: {
    options: ['-m', '64m', '--cpus', '0.5', '--pids-limit', '50', '--ulimit', 'nofile=100:200', '--security-opt', 'no-new-privileges'],
    by: 'run',
  },
  'exec, limited': { options: ['-m', '64m', '--pids-limit', '50', '--ulimit', 'nofile=100:200', '--cap-drop', 'ALL'], by: 'exec' },
  'SYS_ADMIN, seccomp off': { options: ['--cap-add', 'SYS_ADMIN', '--security-opt', 'seccomp=unconfined'], by: 'run' },
  'system paths unconfined': { options: ['--security-opt', 'systempaths=unconfined'], by: 'run' },
  "the host's pid and ipc": { options: ['--pid', 'host', '--ipc', 'host'], by: 'run' },
  terminal: { options: ['-t'], by: 'run' },
};

const probes: Readonly<Record<string, string>> = {
  'capabilities and seccomp': 'grep -E "^(Cap|Seccomp|NoNewPrivs|Groups|Uid|Gid|Speculation)" /proc/self/status',
  signals: 'grep -E "^(SigBlk|SigIgn|SigPnd|Umask)" /proc/self/status',
  // Paths of the host are in the overlay's options: the rest of them is compared.
  mounts: 'sed "s/^[^ ]* //; s/,[a-z]*dir+*=[^ ,]*//g; s/ ext4 .*/ ext4/" /proc/mounts | sort',
  propagation: 'cut -d" " -f5,7- /proc/self/mountinfo | sed "s/ - .*//" | grep -E "shared|master|propagate" | cut -d: -f1',
  devices: 'ls -ln /dev | grep -v "^total" | awk "{print \\$1,\\$3,\\$4,\\$5,\\$6,\\$NF}" | sed "s/ [0-9]*:[0-9]* / /" | sort',
  'device cgroup': 'sort /sys/fs/cgroup/devices/devices.list',
  'device access':
    'cd /dev; for d in "c 1 11" "b 254 0" "c 10 200" "c 10 229" "c 1 1"; do rm -f n; mknod n $d && head -c1 n | wc -c; done; rm -f n',
  'masked paths':
    'for p in /proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats /sys/firmware /sys/devices/virtual/powercap; do if [ -d $p ]; then echo $p $(ls $p | wc -l); elif [ -e $p ]; then echo $p $(head -c 10 $p | wc -c); fi; done',
  'read-only paths':
    'for p in /proc/sys/kernel/panic /proc/sysrq-trigger /proc/irq/0/smp_affinity /proc/bus/x /proc/fs/x /sys/kernel/x /sys/fs/cgroup/x /sys/fs/cgroup/memory/x; do (: >>$p) 2>/dev/null && echo "$p writable" || true; done',
  limits: 'cat /proc/self/limits /proc/self/oom_score_adj /proc/self/timerslack_ns /proc/self/coredump_filter',
  'cgroup limits':
    'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus',
  'cgroups joined': 'sed "s,/\\(docker\\|gantry-[0-9a-f]*\\)/[0-9a-f]*,/CONTAINER," /proc/self/cgroup',
  sysctls:
    'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max /proc/sys/kernel/domainname',
  'environment and process':
    'env | sort; pwd; umask; cat /proc/self/sessionid /proc/self/loginuid; readlink /proc/self/root /proc/self/exe',
  descriptors: 'ls /proc/self/fd; for f in 0 1 2; do readlink /proc/self/fd/$f | sed "s/\\[.*//"; done',
  'etc files':
    'grep -v "box$" /etc/hosts; ls -ln /etc/hosts /etc/hostname /etc/resolv.conf /.dockerenv | awk "{print \\$1,\\$3,\\$4,\\$NF}"; readlink /etc/mtab',
  'session keyring':
    'sed -n "s/.* \\(perm [0-9a-f]*\\) .* _ses.$(sed -n "s,.*:pids:.*/,,p" /proc/self/cgroup | cut -c1-8).*/\\1/p" /proc/keys',
};

/** What only init of a container with its own PID namespace shows. */
const initProbe =
  'cat /proc/1/comm; cut -d" " -f5,6,7 /proc/1/stat; ls /proc/1/fd; cat /proc/[0-9]*/comm 2>/dev/null | grep -vE "^(sh|exe|sed|cat|grep|cut|ls)$"';

interface Accepted {
  readonly line: RegExp;
  readonly side: 'ours' | 'peer';
  readonly why: string;
}

const accepted: readonly Accepted[] = [
  {
    line: /^mounts: \/ overlay r[ow],relatime,uuid=on 0 0$/,
    side: 'ours',
    why: 'the kernel prints uuid=on when the overlay was made by the new mount API',
  },
  { line: /^mounts: \/ overlay r[ow],relatime 0 0$/, side: 'peer', why: 'the same mount, made by the old one' },
  {
    line: /^mounts: \/(proc\/acpi|sys\/firmware) tmpfs ro,nosuid,nodev,noexec,relatime,size=4k,nr_inodes=1 0 0$/,
    side: 'ours',
    why: 'stricter: the cover of a masked directory can hold nothing at all',
  },
  { line: /^mounts: \/(proc\/acpi|sys\/firmware) tmpfs ro,relatime 0 0$/, side: 'peer', why: 'the same cover of the peer' },
  { line: /^mounts: \/proc\/interrupts tmpfs /, side: 'ours', why: 'stricter: newer moby masks it (keystroke timing by interrupt counts)' },
  { line: /^masked paths: \/proc\/interrupts 0$/, side: 'ours', why: 'the same' },
  { line: /^masked paths: \/proc\/interrupts 10$/, side: 'peer', why: 'the same' },
  {
    line: /^mounts: \/sys\/fs\/cgroup tmpfs ro,nosuid,nodev,noexec,relatime,mode=755 0 0$/,
    side: 'ours',
    why: 'stricter: the directory of the hierarchies is read-only (covered by a read-only bind of itself); the peer leaves it writable',
  },
  { line: /^read-only paths: \/sys\/fs\/cgroup\/x writable$/, side: 'peer', why: 'the same' },
  {
    line: /^mounts: \/sys\/fs\/cgroup\/systemd cgroup ro,nosuid,nodev,noexec,relatime,name=systemd 0 0$/,
    side: 'peer',
    why: 'the named hierarchy belongs to the systemd of the host: no cgroup of ours there, so nothing to show (stricter)',
  },
  { line: /^cgroups joined: \d+:name=systemd:\/CONTAINER$/, side: 'peer', why: 'the same' },
  { line: /^cgroups joined: \d+:name=systemd:\/$/, side: 'ours', why: 'the same' },
  { line: /^propagation: \/ master$/, side: 'peer', why: 'stricter: our root is private, no mount event of the host reaches it' },
  { line: /^device cgroup: c 10:200 rwm$/, side: 'peer', why: 'stricter: newer runc took /dev/net/tun out of its default devices' },
  { line: /^device access: head: n: Input\/output error$/, side: 'peer', why: 'the same: the open itself succeeds there' },
  { line: /^device access: head: n: Operation not permitted$/, side: 'ours', why: 'the same' },
  {
    line: /^session keyring: perm 3f130000$/,
    side: 'ours',
    why: 'stricter: processes of other containers may not search it (an exec gets one of its own instead of finding the first by name)',
  },
  { line: /^session keyring: perm 3f1b0000$/, side: 'peer', why: 'the same' },
];

/** System calls that are answered differently, as `ours/peer`, with the reason. */
const acceptedCalls: Readonly<Record<string, readonly [answers: string, why: string]>> = {
  135: [
    'o/P',
    'personality(-1): the kernel reads an unsigned int, which is the allowed query 0xffffffff; our filter compares what the kernel reads',
  ],
  303: ['o/P', 'name_to_handle_at: newer moby allows it (open_by_handle_at stays denied)'],
  310: ['o/P', 'process_vm_readv: newer moby allows it with ptrace, from kernel 4.8 on'],
  311: ['o/P', 'process_vm_writev: the same'],
  329: ['o/P', 'pkey_mprotect: newer moby allows memory protection keys'],
  330: ['o/P', 'pkey_alloc: the same'],
  331: ['o/P', 'pkey_free: the same'],
  425: ['P/o', 'stricter: io_uring_setup, denied by newer moby'],
  426: ['P/o', 'stricter: io_uring_enter'],
  427: ['P/o', 'stricter: io_uring_register'],
  450: ['P/N', 'set_mempolicy_home_node: known to our profile, which denies it without CAP_SYS_NICE'],
  451: ['o/N', 'cachestat: in the newer profile'],
  452: ['o/N', 'fchmodat2: in the newer profile'],
  454: ['o/N', 'futex_wake: in the newer profile'],
  455: ['o/N', 'futex_wait: in the newer profile'],
  456: ['o/N', 'futex_requeue: in the newer profile'],
  457: ['o/N', 'statmount: in the newer profile'],
  458: ['o/N', 'listmount: in the newer profile'],
  459: ['P/N', 'lsm_get_self_attr: known and denied'],
  460: ['P/N', 'lsm_set_self_attr: known and denied'],
  461: ['P/N', 'lsm_list_modules: known and denied'],
  462: ['o/N', 'mseal: in the newer profile'],
  463: ['o/N', 'setxattrat: in the newer profile, as setxattr is'],
  464: ['o/N', 'getxattrat: the same'],
  465: ['o/N', 'listxattrat: the same'],
  466: ['o/N', 'removexattrat: the same'],
  'socket(38 with high half)': ['P/o', 'stricter: AF_ALG, and no way around it by bits that the kernel cuts off'],
  'socket(38)': ['P/o', 'stricter: AF_ALG, denied by newer moby'],
  'socket(40)': ['P/o', 'stricter: AF_VSOCK reaches the hypervisor, denied by newer moby'],
};

const missing = peerMissing();

suite('the sandbox seen from inside', { skip: missing ?? false }, () => {
  let peer: Peer;
  let gantry: GantryDaemon;
  let work: string;
  let noCompiler: string | null = null;
  const seen = new Set<Accepted>();

  before(async () => {
    work = mkdtempSync(join(tmpdir(), 'gantry-sandbox-'));
    writeFileSync(join(work, 'prober.c'), prober);
    const compiled = await shell(`cc -O1 -static -o ${work}/prober ${work}/prober.c`);
    if (compiled.status !== 0) noCompiler = compiled.stderr;
    [peer, gantry] = await Promise.all([startPeer(), startGantry()]);
    await loadBusybox(peer.host, gantry.host);
  });
  after(async () => {
    await gantry?.dispose();
    await peer?.stop();
    if (work !== undefined) rmSync(work, { recursive: true, force: true });
  });

  for (const [view, { options, by }] of Object.entries(views)) {
    test(view, async () => {
      const ownProcesses = !options.includes('--pid');
      const wanted = Object.entries({ ...probes, ...(ownProcesses ? { init: initProbe } : {}) });
      const script = wanted.map(([name, probe]) => `{ ${probe}; } 2>&1 | sed "s/^/${name}: /"`).join('\n');
      const [theirs, ours] = await Promise.all([look(peer.host, by, options, script), look(gantry.host, by, options, script)]);
      for (const [name] of wanted.filter(([name]) => !mayBeEmpty.has(name)))
        assert.ok(
          ours.some((line) => line.startsWith(`${name}: `)),
          `${name} showed nothing`,
        );
      assert.deepEqual([...unlisted('ours', ours, theirs), ...unlisted('peer', theirs, ours)], []);
    });
  }

  test('every listed difference occurs', () => {
    assert.deepEqual(
      accepted.filter((each) => !seen.has(each)).map(({ line }) => line.source),
      [],
    );
  });

  function unlisted(side: Accepted['side'], one: readonly string[], other: readonly string[]): string[] {
    return excess(one, other)
      .filter((line) => {
        const known = accepted.find((each) => each.side === side && each.line.test(line));
        if (known !== undefined) seen.add(known);
        return known === undefined;
      })
      .map((line) => `only ${side}: ${line}`);
  }

  test('namespaces: shared with the host exactly where the peer shares them', async () => {
    const script = 'for n in cgroup ipc mnt net pid time user uts; do echo $n $(readlink /proc/self/ns/$n); done';
    const shared = async (host: string): Promise<string[]> => {
      const [links, hostLinks] = [await look(host, 'run', [], script), (await shell(script)).stdout.trimEnd().split('\n')];
      return links.filter((line) => hostLinks.includes(line)).map((line) => line.split(' ')[0] ?? '');
    };
    // The peer itself lives in network and mount namespaces of its own; what containers share with the machine is comparable all the same.
    assert.deepEqual(await shared(gantry.host), await shared(peer.host));
  });

  test('every system call gets the answer it gets on the peer, less the listed differences', async (context) => {
    if (noCompiler !== null) return context.skip(`needs a C compiler with a static libc: ${noCompiler}`);
    const table = async (host: string): Promise<Map<string, string>> => {
      const { status, stdout, stderr } = await runCommand(
        ['docker', '-H', host, 'run', '--rm', '--network', 'none', '-v', `${work}:/w:ro`, 'busybox', '/w/prober'],
        { timeoutMs: 120_000 },
      );
      assert.equal(status, 0, stderr);
      const lines = stdout.trimEnd().split('\n');
      return new Map(lines.map((line): [string, string] => [line.slice(0, -2), line.slice(-1)]));
    };
    const [theirs, ours] = [await table(peer.host), await table(gantry.host)];
    const differing = Object.fromEntries(
      [...ours].filter(([call, answer]) => theirs.get(call) !== answer).map(([call, answer]) => [call, `${answer}/${theirs.get(call)}`]),
    );
    assert.deepEqual(differing, Object.fromEntries(Object.entries(acceptedCalls).map(([call, [answers]]) => [call, answers])));
    assert.ok(ours.size > 470);
    return undefined;
  });
});

const mayBeEmpty: ReadonlySet<string> = new Set(['session keyring', 'propagation', 'read-only paths']);

async function look(host: string, by: 'run' | 'exec', options: readonly string[], script: string): Promise<string[]> {
  const docker = (...args: string[]) => runCommand(['docker', '-H', host, ...args]);
  const common = ['--network', 'none', '-h', 'box', ...options, 'busybox'];
  if (by === 'run') return linesOf(await docker('run', '--rm', ...common, 'sh', '-c', script));
  const id = linesOf(await docker('run', '-d', ...common, 'sleep', '100'))[0] ?? '';
  try {
    return linesOf(await docker('exec', id, 'sh', '-c', script));
  } finally {
    await docker('rm', '-f', id);
  }
}

function linesOf({ status, stdout, stderr }: { readonly status: number; readonly stdout: string; readonly stderr: string }): string[] {
  assert.equal(status, 0, stderr);
  return stdout.replaceAll('\r', '').trimEnd().split('\n');
}

/** Lines that `one` has more often than `other`. */
function excess(one: readonly string[], other: readonly string[]): string[] {
  const left = [...other];
  return one.filter((line) => {
    const index = left.indexOf(line);
    if (index !== -1) left.splice(index, 1);
    return index === -1;
  });
}
