/**
 * Command lines as people type them, run through the unmodified docker CLI. Each is a small shell script (DOCKER_HOST is set) whose output and exit status are
 * compared with the peer's after masking ids and times. `differs` explains an accepted difference: the line must then only succeed (same exit status) on ours.
 */
export interface CompatLine {
  readonly name: string;
  readonly script: string;
  /** Why the output is not equal to the peer's (docker 20.10), if so. */
  readonly differs?: string;
  /** The exit status differs as well, on purpose. */
  readonly status?: number;
  /** Takes the peer many seconds, of waiting, and neither leaves nor tells anything that other lines do or see: the peer runs these at once, before all others. */
  readonly peerWaits?: true;
}

export const lines: readonly CompatLine[] = [
  { name: 'run: output', script: 'docker run --rm busybox echo hello' },
  { name: 'run: exit status of the process', script: 'docker run --rm busybox sh -c "exit 7"; echo $?' },
  { name: 'run: killed by a signal', script: 'docker run --rm busybox sh -c "kill -9 \\$\\$"; echo $?' },
  { name: 'run: stdin', script: 'echo some input | docker run --rm -i busybox cat' },
  { name: 'run: stdin is empty without -i', script: 'echo lost | docker run --rm busybox wc -c' },
  { name: 'run: stderr apart', script: 'docker run --rm busybox sh -c "echo out; echo err >&2" 2>/dev/null' },
  {
    name: 'run: command not found',
    script: 'docker run --rm busybox no-such-program; echo $?',
    differs: 'the text in front of "exec:" names another runtime',
  },
  {
    name: 'run: path not found',
    script: 'docker run --rm busybox /no/such; echo $?',
    differs: 'the text in front of "exec:" names another runtime',
  },
  {
    name: 'run: not executable',
    script: 'docker run --rm busybox /etc/passwd; echo $?',
    differs: 'the text in front of "exec:" names another runtime',
  },
  {
    name: 'run: a directory',
    script: 'docker run --rm busybox /etc; echo $?',
    differs: 'the text in front of "exec:" names another runtime',
  },
  { name: 'run: environment', script: 'docker run --rm -e A=1 -e B="two words" -h box busybox env | sort' },
  { name: 'run: environment from the client', script: 'X=fromclient docker run --rm -e X busybox sh -c "echo \\$X"' },
  { name: 'run: workdir is made', script: 'docker run --rm -w /some/where busybox pwd' },
  { name: 'run: user by id', script: 'docker run --rm -u 1000:2000 busybox id' },
  { name: 'run: user by name', script: 'docker run --rm -u user busybox id' },
  {
    name: 'run: unknown user',
    script: 'docker run --rm -u nobodyhere busybox id; echo $?',
    differs: 'the text in front names another runtime',
  },
  {
    name: 'run: user id too large',
    script: 'docker run --rm -u 4294967296 busybox id; echo $?',
    differs: 'the peer (20.10) lacks the fix of CVE-2024-40635 in this text',
  },
  { name: 'run: group-add', script: 'docker run --rm --group-add 4444 busybox id' },
  { name: 'run: hostname', script: 'docker run --rm --hostname my.host busybox hostname' },
  { name: 'run: entrypoint', script: 'docker run --rm --entrypoint echo busybox a b' },
  { name: 'run: capabilities', script: 'docker run --rm busybox grep Cap /proc/self/status' },
  { name: 'run: cap-drop ALL', script: 'docker run --rm --cap-drop ALL busybox grep CapEff /proc/self/status' },
  { name: 'run: cap-add', script: 'docker run --rm --cap-drop ALL --cap-add NET_RAW busybox grep CapEff /proc/self/status' },
  { name: 'run: capabilities of a user', script: 'docker run --rm -u 1000 busybox grep Cap /proc/self/status' },
  { name: 'run: seccomp mode', script: 'docker run --rm busybox grep Seccomp: /proc/self/status' },
  { name: 'run: seccomp off', script: 'docker run --rm --security-opt seccomp=unconfined busybox grep Seccomp: /proc/self/status' },
  { name: 'run: no new privileges', script: 'docker run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status' },
  { name: 'run: descriptors', script: 'docker run --rm busybox sh -c "ls /proc/self/fd | wc -l"' },
  { name: 'run: pid 1 and its namespace', script: 'docker run --rm busybox sh -c "echo \\$\\$; set -- /proc/[0-9]*; echo \\$#"' },
  { name: 'run: read-only root', script: 'docker run --rm --read-only busybox touch /x; echo $?' },
  {
    name: 'run: tmpfs',
    script: 'docker run --rm --tmpfs /scratch:size=1m busybox sh -c "grep /scratch /proc/mounts"',
    differs: 'the kernel prints inode64 depending on how the mount was made',
  },
  { name: 'run: shm size', script: 'docker run --rm --shm-size 32m busybox df -k /dev/shm' },
  {
    name: 'run: bind mount',
    script:
      'd=$(mktemp -d); echo data >$d/f; docker run --rm -v $d:/m busybox cat /m/f; docker run --rm -v $d:/m busybox sh -c "echo back >/m/g"; cat $d/g; rm -r $d',
  },
  { name: 'run: read-only bind', script: 'd=$(mktemp -d); docker run --rm -v $d:/m:ro busybox touch /m/x; echo $?; rm -r $d' },
  { name: 'run: -v makes a missing source', script: 'd=$(mktemp -d); docker run --rm -v $d/new:/m busybox true; ls $d; rm -r $d' },
  {
    name: 'run: --mount refuses a missing source',
    script: 'docker run --rm --mount type=bind,source=/no/such/place,target=/m busybox true; echo $?',
  },
  { name: 'run: memory limit', script: 'docker run --rm -m 64m busybox sh -c "cat /sys/fs/cgroup/memory/memory.limit_in_bytes"' },
  {
    name: 'run: cpu limit',
    script: 'docker run --rm --cpus 0.5 busybox sh -c "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us"',
  },
  { name: 'run: pids limit', script: 'docker run --rm --pids-limit 20 busybox cat /sys/fs/cgroup/pids/pids.max' },
  { name: 'run: memory too small', script: 'docker run --rm -m 1m busybox true; echo $?' },
  { name: 'run: ulimit', script: 'docker run --rm --ulimit nofile=100:200 busybox sh -c "ulimit -n; ulimit -Hn"' },
  { name: 'run: sysctl', script: 'docker run --rm --sysctl kernel.msgmax=9000 busybox cat /proc/sys/kernel/msgmax' },
  {
    name: 'run: masked paths',
    script: 'docker run --rm busybox sh -c "wc -c </proc/kcore; ls /proc/acpi | wc -l; ls /sys/firmware | wc -l"',
  },
  { name: 'run: read-only paths', script: 'docker run --rm busybox sh -c "echo 1 >/proc/sys/kernel/panic"; echo $?' },
  { name: 'run: devices', script: 'docker run --rm busybox sh -c "ls /dev | sort"' },
  {
    name: 'run: device nodes',
    script: 'docker run --rm busybox sh -c "mknod /tmp/d b 8 0; head -c1 /tmp/d"; echo $?',
    differs: 'busybox prints the same refusal; kept apart for its exit status',
  },
  { name: 'run: network none', script: 'docker run --rm --network none busybox ip -o link | wc -l' },
  {
    name: 'run: network none has lo up',
    script: 'docker run --rm --network none busybox ping -c1 -W1 127.0.0.1 | grep -c "1 packets received"',
  },
  {
    name: 'run: etc files',
    script: 'docker run --rm --network none -h abc busybox sh -c "cat /etc/hostname; grep -c localhost /etc/hosts"',
  },
  {
    name: 'run: mounts seen',
    script: 'docker run --rm busybox sh -c "cut -d\' \' -f2,3 /proc/mounts | grep -v -e /sys/fs/cgroup -e /proc/interrupts | sort"',
  },
  { name: 'run: tty', script: 'docker run --rm -t busybox tty' },
  {
    name: 'run: privileged sees devices',
    script: 'docker run --rm --privileged busybox sh -c "[ -e /dev/mem ] && echo mem; grep Seccomp: /proc/self/status"',
    differs: 'the peer fails where the host withholds a capability (CAP_SYS_RESOURCE); ours gives what there is and warns',
    status: 0,
  },
  {
    name: 'run -d, wait, logs, rm',
    script: 'c=$(docker run -d busybox sh -c "echo one; echo two >&2; exit 3"); docker wait $c; docker logs $c 2>&1 | sort; docker rm $c',
  },
  {
    name: 'run --name twice',
    script: 'docker create --name twice busybox true; docker create --name twice busybox true; echo $?; docker rm twice',
  },
  { name: 'run: bad name', script: 'docker run --name "a b" busybox true; echo $?' },
  { name: 'run: unknown image', script: 'docker run --rm no-such-image:1 true; echo $?', differs: 'pulling is not built yet; says so' },
  { name: 'run: bad reference', script: 'docker run --rm UPPER true; echo $?' },
  { name: 'run --cidfile', script: 'd=$(mktemp -d); docker run --rm --cidfile $d/id busybox true; wc -c <$d/id; rm -r $d' },
  { name: 'create, start -a, rm', script: 'docker create --name csr busybox echo started; docker start -a csr; docker rm csr' },
  { name: 'start twice', script: 'docker run -d --name tw busybox sleep 100; docker start tw; docker rm -f tw' },
  {
    name: 'exec',
    script:
      'docker run -d --name ex busybox sleep 100; docker exec ex echo inside; docker exec ex sh -c "exit 5"; echo $?; docker exec -e V=1 -w /tmp -u 1000 ex sh -c "id -u; pwd; echo \\$V"; echo in | docker exec -i ex cat; docker rm -f ex',
  },
  {
    name: 'exec: not found',
    script: 'docker run -d --name ex2 busybox sleep 100; docker exec ex2 nothere; echo $?; docker rm -f ex2',
    differs: 'newer daemons answer 127 where 20.10 said 126, and put the text on stderr',
    status: 0,
  },
  { name: 'exec on a stopped container', script: 'docker create --name ex3 busybox true; docker exec ex3 true; echo $?; docker rm ex3' },
  {
    name: 'exec -d',
    script:
      'docker run -d --name ex4 busybox sleep 100; docker exec -d ex4 touch /made; sleep 1; docker exec ex4 ls /made; docker rm -f ex4',
  },
  {
    name: 'logs: tail and timestamps',
    script: 'docker run --name lg busybox seq 5 >/dev/null; docker logs --tail 2 lg; docker logs -t lg | cut -c1-4,30-; docker rm lg',
  },
  {
    name: 'logs -f of a running one',
    script: 'docker run -d --name lf busybox sh -c "echo a; sleep 0.5; echo b"; docker logs -f lf; docker rm lf',
  },
  { name: 'logs: no such container', script: 'docker logs nope; echo $?' },
  {
    name: 'kill',
    script: 'docker run -d --name kl busybox sleep 100; docker kill kl; docker wait kl; docker kill kl; echo $?; docker rm kl',
  },
  {
    name: 'kill -s',
    script:
      'docker run -d --name ks busybox sh -c "trap \'echo got; exit 4\' USR1; while :; do sleep 0.1; done"; sleep 0.3; docker kill -s USR1 ks; docker wait ks; docker logs ks; docker rm ks',
  },
  { name: 'stop', script: 'docker run -d --name st busybox sleep 100; docker stop -t 1 st; docker wait st; docker rm st' },
  { name: 'stop of a stopped one', script: 'docker create --name ss busybox true; docker stop ss; echo $?; docker rm ss' },
  {
    name: 'restart',
    script:
      'docker run -d --name rs busybox sh -c "echo up; exec sleep 100"; docker restart -t 0 rs; while [ $(docker logs rs | wc -l) -lt 2 ]; do sleep 0.1; done; docker logs rs; docker rm -f rs',
  },
  {
    name: 'rm of a running one',
    script: 'docker run -d --name rr busybox sleep 100; docker rm rr; echo $?; docker rm -f rr',
    differs: 'newer text',
  },
  { name: 'rm of a missing one', script: 'docker rm nope; echo $?; docker rm -f nope; echo $?' },
  {
    name: 'rename',
    script:
      'docker create --name old busybox true; docker rename old new; docker ps -a --filter name=new --format "{{.Names}} {{.Image}} {{.Command}} {{.Status}}"; docker rm new',
  },
  {
    name: 'ps',
    script:
      'docker run -d --name p1 busybox sleep 100; docker ps --format "{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Ports}}"; docker ps -q --filter name=p1 | wc -c; docker ps -aq --filter status=exited | wc -l; docker rm -f p1',
  },
  {
    name: 'ps: unknown filter',
    script: 'docker ps --filter bogus=1; echo $?',
    differs: 'newer daemons write "invalid" with a small letter',
  },
  {
    name: 'inspect -f',
    script:
      'docker create --name in -e A=b -l k=v -w /tmp --memory 64m busybox echo hi; docker inspect -f "{{.Path}} {{json .Args}} {{.Config.WorkingDir}} {{index .Config.Labels \\"k\\"}} {{.HostConfig.Memory}} {{.State.Status}} {{.Name}} {{json .Config.Env}}" in; docker rm in',
  },
  {
    name: 'inspect: state',
    script:
      'docker run --name is busybox sh -c "exit 9"; docker inspect -f "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}} {{.State.OOMKilled}} {{.State.Pid}}" is; docker rm is',
  },
  { name: 'inspect: nothing', script: 'docker inspect nope; echo $?' },
  {
    name: 'images',
    script:
      'docker images --format "{{.Repository}}:{{.Tag}}" busybox; docker images -q busybox | wc -c; docker image inspect -f "{{.Os}} {{.Architecture}} {{json .Config.Cmd}} {{len .RootFS.Layers}} {{json .RepoTags}}" busybox',
  },
  {
    name: 'tag and rmi',
    script: 'docker tag busybox other:v1; docker images --format "{{.Repository}}:{{.Tag}}" other; docker rmi other:v1',
  },
  { name: 'rmi: missing', script: 'docker rmi nope; echo $?' },
  { name: 'rmi: in use', script: 'docker create --name iu busybox true; docker rmi busybox; echo $?; docker rm iu' },
  { name: 'history', script: 'docker history --format "{{.CreatedBy}}|{{.Comment}}" busybox' },
  {
    name: 'save and load',
    script: 'd=$(mktemp -d); docker save -o $d/i.tar busybox; tar -tf $d/i.tar | grep -c manifest.json; docker load -i $d/i.tar; rm -r $d',
  },
  { name: 'load: not an image', script: 'echo nonsense | docker load; echo $?', differs: 'our text says what is wrong with the archive' },
  {
    name: 'import',
    script:
      'd=$(mktemp -d); mkdir $d/r; echo x >$d/r/f; tar -C $d/r -c . | docker import -c "CMD [\\"/f\\"]" -m note - imp:1 | cut -c1-7; docker image inspect -f "{{json .Config.Cmd}} {{.Comment}}" imp:1; docker rmi imp:1 | head -1; rm -r $d',
  },
  { name: 'container prune', script: 'docker run --name pr busybox true; docker container prune -f --filter label=nope; docker rm pr' },
  { name: 'image prune', script: 'docker image prune -f' },
  { name: 'volume and network lists', script: 'docker volume ls; docker network ls --format "{{.Name}}" --filter name=none' },
  { name: 'wait of an ended one', script: 'docker run --name wt busybox sh -c "exit 11"; docker wait wt; docker rm wt' },
  {
    name: 'attach sees output and exit',
    script: 'docker run -d --name at busybox sh -c "sleep 2; echo late; exit 6"; docker attach at; echo $?; docker rm at',
  },
  {
    name: 'diff of exit codes: OOM',
    script:
      'docker run --name oo -m 16m busybox sh -c "x=\\$(head -c 100m /dev/zero | tr \'\\\\0\' x); echo survived"; docker inspect -f "{{.State.OOMKilled}}" oo; docker rm oo',
  },
  {
    name: 'label with a hostile name',
    script:
      'docker create --name lb -l __proto__=x -l constructor=y busybox true; docker inspect -f "{{json .Config.Labels}}" lb; docker rm lb',
  },
  {
    name: 'events of a run',
    script:
      's=$(date +%s); docker run --rm --name ev busybox true; docker events --since $s --until $(($(date +%s)+1)) --filter container=ev --format "{{.Type}} {{.Action}}" | grep -v network',
  },
  { name: 'version', script: 'docker version --format "{{.Server.Os}}/{{.Server.Arch}}"' },
  { name: 'info', script: 'docker info --format "{{.OSType}} {{.Architecture}} {{.Driver}} {{.CgroupVersion}} {{.NCPU}}"' },
];
