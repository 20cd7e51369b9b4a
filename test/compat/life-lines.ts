/** Command lines on a container's whole life, in the manner of lines.ts. Each removes what it makes. */
import type { CompatLine } from './lines.ts';

/** A container that notices TERM. */
const patient = 'busybox sh -c "trap \'exit 0\' TERM; while :; do sleep 0.1; done"';

export const lifeLines: readonly CompatLine[] = [
  // restart policies
  {
    name: 'restart policy: on-failure gives up',
    script:
      'docker run -d --name rf --restart on-failure:2 busybox sh -c "exit 3" >/dev/null; while [ "$(docker inspect -f "{{.State.Status}}" rf)" != exited ]; do sleep 0.1; done; docker inspect -f "{{.RestartCount}} {{.State.ExitCode}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}" rf; docker rm rf',
  },
  {
    name: 'restart policy: not after a stop',
    script: `docker run -d --name ra --restart always ${patient} >/dev/null; docker stop -t 5 ra; sleep 0.5; docker inspect -f "{{.State.Running}} {{.RestartCount}}" ra; docker rm ra`,
  },
  {
    name: 'restart policy: after a kill of the process',
    script:
      'docker run -d --name rk --restart unless-stopped busybox sh -c "sleep 0.3; kill -9 \\$\\$" >/dev/null; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ "$(docker inspect -f "{{.RestartCount}}" rk)" -ge 1 ] && break; sleep 0.3; done; [ "$(docker inspect -f "{{.RestartCount}}" rk)" -ge 1 ] && echo again; docker rm -f rk',
  },
  { name: 'restart policy: unknown', script: 'docker create --restart bogus busybox; echo $?', differs: 'newer text' },
  { name: 'restart policy: retries of always', script: 'docker create --restart always:3 busybox; echo $?', differs: 'newer text' },
  { name: 'restart policy: with --rm', script: 'docker run --rm --restart always busybox true; echo $?' },
  { name: 'restart: a missing one', script: 'docker restart nope; echo $?' },
  {
    name: 'restart: a stopped one runs',
    script:
      'docker create --name rt busybox sleep 100 >/dev/null; docker restart -t 0 rt; docker inspect -f "{{.State.Running}} {{.RestartCount}}" rt; docker rm -f rt',
  },
  // pause
  {
    name: 'pause and unpause',
    script:
      'docker run -d --name pa busybox sleep 100 >/dev/null; docker pause pa; docker inspect -f "{{.State.Status}} {{.State.Paused}} {{.State.Running}}" pa; docker ps --filter name=pa --format "{{.State}}"; docker ps --filter status=paused --format "{{.Names}}"; docker pause pa; echo $?; docker exec pa true; echo $?; docker unpause pa; docker unpause pa; echo $?; docker inspect -f "{{.State.Status}}" pa; docker rm -f pa',
  },
  {
    name: 'pause: stopped, missing',
    script: 'docker create --name pb busybox true >/dev/null; docker pause pb; echo $?; docker pause nope; echo $?; docker rm pb',
  },
  {
    name: 'pause: stop of a paused one',
    script: `docker run -d --name pc ${patient} >/dev/null; docker pause pc; docker stop -t 5 pc; docker inspect -f "{{.State.Status}}" pc; docker rm pc`,
  },
  // top and stats
  {
    name: 'top: columns asked for',
    script:
      'docker run -d --name to busybox sleep 100 >/dev/null; docker top to -eo pid,args | sed -e 1d -e "s,^ *[0-9]* *,,"; docker top to -o comm,user,pid | wc -l; docker rm -f to',
  },
  {
    name: 'top: stopped, missing, bad columns',
    script:
      'docker create --name tb busybox true >/dev/null; docker top tb; echo $?; docker top nope; echo $?; docker start tb >/dev/null; docker rm -f tb',
  },
  {
    name: 'stats: one look',
    script:
      'docker run -d --name sa -m 64m busybox sleep 100 >/dev/null; docker stats --no-stream --format "{{.Name}} {{.PIDs}}" sa; docker stats --no-stream --format "{{.MemUsage}}" sa | sed "s/.* //"; docker stats --no-stream sa | sed -n 1p | tr -s " "; docker stats --no-stream nope; echo $?; docker rm -f sa',
  },
  {
    name: 'stats: of a stopped one',
    script:
      'docker create --name sb busybox true >/dev/null; docker stats --no-stream --format "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.NetIO}} {{.PIDs}}" sb; docker rm sb',
  },
  // update
  {
    name: 'update: memory and cpu, live',
    script:
      'docker run -d --name ua -m 64m busybox sleep 100 >/dev/null; docker update -m 128m --memory-swap 256m --cpu-shares 512 --pids-limit 50 ua; docker inspect -f "{{.HostConfig.Memory}} {{.HostConfig.CpuShares}} {{.HostConfig.PidsLimit}}" ua; docker exec ua cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/pids/pids.max; docker rm -f ua',
  },
  {
    name: 'update: cpus and cpuset',
    script:
      'docker run -d --name ub busybox sleep 100 >/dev/null; docker update --cpus 0.5 --cpuset-cpus 0 ub; docker exec ub cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpuset/cpuset.cpus; docker inspect -f "{{.HostConfig.NanoCpus}} {{.HostConfig.CpusetCpus}}" ub; docker rm -f ub',
  },
  {
    name: 'update: the restart policy',
    script:
      'docker create --name uc busybox true >/dev/null; docker update --restart on-failure:4 uc; docker inspect -f "{{json .HostConfig.RestartPolicy}}" uc | tr , "\\n" | sort; docker rm uc',
  },
  {
    name: 'update: refused',
    script:
      'docker create --name ud busybox true >/dev/null; docker update -m 1m ud; echo $?; docker update nope -m 64m; echo $?; docker update ud; echo $?; docker rm ud',
  },
  // health
  {
    name: 'health: healthy, as ps and inspect show it',
    script:
      'docker run -d --name ha --health-cmd "test -e /etc/passwd" --health-interval 300ms busybox sleep 100 >/dev/null; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ "$(docker inspect -f "{{.State.Health.Status}}" ha)" = healthy ] && break; sleep 0.3; done; docker inspect -f "{{.State.Health.Status}} {{.State.Health.FailingStreak}} {{json .Config.Healthcheck.Test}}" ha; docker ps --filter health=healthy --format "{{.Names}}"; docker ps --filter name=ha --format "{{.Status}}" | grep -o "(.*)"; docker rm -f ha',
  },
  {
    name: 'health: unhealthy, with what the check said',
    script:
      'docker run -d --name hb --health-cmd "echo broken; exit 1" --health-interval 200ms --health-retries 2 busybox sleep 100 >/dev/null; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ "$(docker inspect -f "{{.State.Health.Status}}" hb)" = unhealthy ] && break; sleep 0.3; done; docker inspect -f "{{.State.Health.Status}} {{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}" hb; docker rm -f hb',
  },
  {
    name: 'health: none',
    script:
      'docker create --name hc --no-healthcheck busybox true >/dev/null; docker inspect -f "{{json .Config.Healthcheck}} {{json .State.Health}}" hc; docker rm hc',
  },
  {
    name: 'health: refused',
    script: 'docker create --health-cmd true --health-interval 1us busybox; echo $?; docker create --health-retries -1 busybox; echo $?',
  },
  // files
  {
    name: 'diff',
    script:
      'docker run --name da busybox sh -c "echo x >/new; rm /etc/group; mkdir -p /var/d/e; echo y >>/etc/passwd; chmod 700 /tmp"; docker diff da | sort -k2; docker rm da',
  },
  {
    name: 'diff: missing, untouched',
    script: 'docker diff nope; echo $?; docker create --name db busybox true >/dev/null; docker diff db; docker rm db',
  },
  {
    name: 'export',
    script:
      'docker run --name ea busybox sh -c "echo x >/made"; docker export ea | tar -t | grep -e "^made$" -e "^etc/passwd$" -e "^dev/" -e "^.dockerenv" | sort; docker export nope; echo $?; docker rm ea',
  },
  {
    name: 'export and import',
    script:
      'docker run --name eb busybox sh -c "echo kept >/made; chown 1000:7 /made"; docker export eb | docker import - eb:1 >/dev/null; docker run --rm eb:1 /bin/busybox stat -c "%u %g %s" /made; docker rm eb; docker rmi eb:1 >/dev/null',
  },
  {
    name: 'commit',
    script:
      'docker run --name ca -e A=1 busybox sh -c "echo x >/made"; docker commit -a me -m note -c "CMD [\\"cat\\",\\"/made\\"]" -c "ENV B=2" ca cimg:1 | cut -c1-7; docker run --rm cimg:1; docker image inspect -f "{{.Author}} {{.Comment}} {{json .Config.Cmd}} {{json .Config.Env}} {{len .RootFS.Layers}}" cimg:1; docker history --format "{{.Comment}}|{{.Size}}" cimg:1 | head -1; docker rm ca; docker rmi cimg:1 >/dev/null',
  },
  {
    name: 'commit: without a name, of a running one',
    script:
      'docker run -d --name cb busybox sleep 100 >/dev/null; i=$(docker commit cb); docker image inspect -f "{{json .RepoTags}}" $i; docker rmi $i | wc -l; docker commit nope; echo $?; docker commit -c "BOGUS x" cb; echo $?; docker rm -f cb',
    differs: 'the peer names its own parser of instructions',
  },
  {
    name: 'cp: in and out',
    script:
      'd=$(mktemp -d); echo data >$d/f; docker run -d --name cpa busybox sleep 100 >/dev/null; docker cp $d/f cpa:/tmp/g; docker exec cpa cat /tmp/g; docker cp cpa:/tmp/g $d/h; cat $d/h; docker cp $d cpa:/copied; docker exec cpa ls /copied; docker cp cpa:/etc $d/etc; ls $d/etc | grep -e passwd -e group; docker rm -f cpa; rm -r $d',
  },
  {
    name: 'cp: a stopped one, streams',
    script:
      'docker create --name cpb busybox true >/dev/null; docker cp cpb:/etc/passwd - | tar -xO | head -1; echo x | tar -c --files-from /dev/null | docker cp - cpb:/tmp; d=$(mktemp -d); echo y >$d/y; tar -C $d -c y | docker cp - cpb:/tmp; docker cp cpb:/tmp/y $d/z; cat $d/z; docker rm cpb; rm -r $d',
  },
  {
    name: 'cp: owners, modes, links',
    script:
      'd=$(mktemp -d); echo x >$d/f; chmod 751 $d/f; ln -s f $d/l; docker run -d --name cpc busybox sleep 100 >/dev/null; docker cp $d/f cpc:/f; docker cp -a $d/f cpc:/g; docker cp $d/l cpc:/l; docker cp -L $d/l cpc:/m; docker exec cpc stat -c "%n %a %u %F" /f /g /l /m; docker exec cpc readlink /l; docker cp cpc:/l $d/out; readlink $d/out; docker rm -f cpc; rm -r $d',
  },
  {
    name: 'cp: what goes wrong',
    script:
      'docker create --name cpd busybox true >/dev/null; docker cp cpd:/no/such /tmp; echo $?; docker cp /no/such/file cpd:/; echo $?; docker cp nope:/etc /tmp; echo $?; docker cp cpd:/etc/passwd /no/such/dir/x; echo $?; docker cp /etc/hostname cpd:/etc/passwd/x; echo $?; docker cp /etc cpd:/etc/passwd; echo $?; docker cp a b; echo $?; docker rm cpd',
  },
  {
    name: 'cp: into and out of a volume',
    script:
      'd=$(mktemp -d); echo v >$d/v; docker run -d --name cpe -v cpvol:/vol busybox sleep 100 >/dev/null; docker cp $d/v cpe:/vol/v; docker exec cpe cat /vol/v; docker cp cpe:/vol/v $d/w; cat $d/w; docker rm -f cpe; docker volume rm cpvol; rm -r $d',
  },
  // logs
  {
    name: 'logs: since and until',
    script:
      'docker run --name la busybox sh -c "echo one; sleep 1.2; echo two"; s=$(docker logs -t la | sed -n 2p | cut -d" " -f1); docker logs --since $s la; docker logs --until 2000-01-01 la; docker logs --since 1h la | wc -l; docker rm la',
  },
  {
    name: 'logs: bad times',
    script:
      'docker create --name lb busybox true >/dev/null; docker logs --since bogus lb; echo $?; docker logs --tail x lb; echo $?; docker rm lb',
  },
  {
    name: 'logs: details',
    script:
      'docker run --name lc --log-opt labels=k --log-opt env=E -l k=v -e E=1 busybox echo hi; docker logs --details lc; docker inspect -f "{{json .HostConfig.LogConfig}}" lc | tr , "\\n" | sort; docker rm lc',
  },
  {
    name: 'logs: a follower ends with the container',
    script:
      'docker run -d --name ld busybox sh -c "for i in 1 2 3; do echo $i; sleep 0.2; done" >/dev/null; docker logs -f ld | wc -l; docker logs -f --tail 1 ld | wc -l; docker rm ld',
  },
  {
    name: 'logs: rotated',
    script:
      'docker run --name le --log-opt max-size=20k --log-opt max-file=2 busybox seq 10000; docker logs le | tail -1; [ $(docker logs le | wc -l) -lt 10000 ] && echo fewer; docker rm le',
  },
  { name: 'logs: driver none', script: 'docker run --name lf2 --log-driver none busybox echo hi; docker logs lf2; echo $?; docker rm lf2' },
  {
    name: 'logs: driver local',
    script:
      'docker run --name lg2 --log-driver local busybox sh -c "echo a; echo b >&2"; docker logs lg2 2>&1 | sort; docker logs --tail 1 lg2 2>&1 | wc -l; docker rm lg2',
  },
  {
    name: 'logs: unknown options',
    script: 'docker create --log-opt bogus=1 busybox; echo $?; docker create --log-driver none --log-opt max-size=1m busybox; echo $?',
  },
  // wait, attach, exec
  {
    name: 'wait: several',
    script:
      'docker run -d --name wa busybox sh -c "sleep 0.3; exit 4" >/dev/null; docker run -d --name wb busybox sh -c "exit 5" >/dev/null; docker wait wa wb; docker wait nope wb; echo $?; docker rm wa wb',
  },
  {
    name: 'attach: two clients see the same',
    script:
      'docker run -d --name aa busybox sh -c "sleep 1; echo both; exit 2" >/dev/null; (docker attach --no-stdin aa; echo $?) & docker attach --no-stdin aa; echo $?; wait; docker rm aa',
  },
  {
    name: 'attach: what is typed reaches it',
    script:
      'docker run -di --name ab busybox head -n 1 >/dev/null; echo first | docker attach ab >/dev/null; docker logs ab; docker wait ab; docker rm ab',
  },
  {
    name: 'attach: stopped, paused, missing',
    script:
      'docker create --name ac busybox true >/dev/null; docker attach ac; echo $?; docker run -d --name ad busybox sleep 100 >/dev/null; docker pause ad >/dev/null; docker attach ad; echo $?; docker attach nope; echo $?; docker rm -f ac ad',
  },
  {
    name: 'attach: signals pass',
    script: `docker run -d --name ae ${patient} >/dev/null; docker attach --no-stdin ae & p=$!; sleep 2; kill -TERM $p; wait $p; echo $?; docker inspect -f "{{.State.Status}} {{.State.ExitCode}}" ae; docker rm ae`,
  },
  {
    name: 'run: signals pass',
    script:
      'docker run --rm --name rsg busybox sh -c "trap \'echo got; exit 9\' USR1; echo up; while :; do sleep 0.1; done" & p=$!; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -n "$(docker logs rsg 2>/dev/null)" ] && break; sleep 0.2; done; kill -USR1 $p; wait $p; echo $?',
  },
  {
    name: 'exec: environment files, users, directories',
    script:
      'd=$(mktemp -d); printf "A=1\\n# no\\nB=two words\\n" >$d/env; docker run -d --name exa -e IMG=x busybox sleep 100 >/dev/null; docker exec --env-file $d/env -e C=3 -u user:extra -w /tmp exa sh -c "id; pwd; env | sort | grep -v HOSTNAME"; docker exec -u 7 exa id; docker exec -w /nope exa pwd >/dev/null 2>&1; echo $?; docker rm -f exa; rm -r $d',
  },
  {
    name: 'exec: exit codes',
    script:
      'docker run -d --name exb busybox sleep 100 >/dev/null; docker exec exb sh -c "exit 42"; echo $?; docker exec exb sh -c "kill -9 \\$\\$"; echo $?; docker exec exb false; echo $?; docker exec nope true; echo $?; docker rm -f exb',
  },
  {
    name: 'exec: of a paused one, of one that ends',
    script:
      'docker run -d --name exc busybox sleep 100 >/dev/null; docker pause exc >/dev/null; docker exec exc true; echo $?; docker unpause exc >/dev/null; docker exec exc sleep 60 & sleep 2; docker kill exc; wait $!; echo $?; docker rm exc',
  },
  {
    name: 'exec: a terminal',
    script:
      'docker run -d --name exd busybox sleep 100 >/dev/null; docker exec -t exd tty; docker exec -t exd sh -c "test -t 0 && echo yes"; docker rm -f exd',
  },
  {
    name: 'exec: as ps and inspect see it',
    script:
      'docker run -d --name exe busybox sleep 100 >/dev/null; docker exec -d exe sleep 50; sleep 1; docker inspect -f "{{len .ExecIDs}}" exe; docker top exe -eo pid,args | sed "s,^ *[0-9]* *,," | sort; docker rm -f exe',
  },
  // namespaces and the rest of the configuration
  { name: 'init', script: 'docker run --rm --init busybox sh -c "cat /proc/1/comm | wc -c; echo \\$\\$ | wc -l"' },
  {
    name: 'init reaps',
    script: 'docker run --rm --init busybox sh -c "(sleep 0.1 &) ; sleep 0.5; ps -o stat,comm | grep -c Z"; echo $?',
  },
  {
    name: 'pid of another container',
    script:
      'docker run -d --name nsa busybox sleep 77 >/dev/null; docker run --rm --pid container:nsa busybox ps -o args | grep -c "^sleep 77"; docker run --rm --pid container:nope busybox true; echo $?; docker rm -f nsa',
  },
  { name: 'pid host', script: 'docker run --rm --pid host busybox sh -c "[ \\$\\$ -gt 1 ] && echo host"' },
  {
    name: 'ipc of another container',
    script:
      'docker run -d --name nsi --ipc shareable busybox sleep 77 >/dev/null; docker run --rm --ipc container:nsi busybox sh -c "echo x >/dev/shm/x"; docker exec nsi cat /dev/shm/x; docker run -d --name nsp busybox sleep 77 >/dev/null; docker run --rm --ipc container:nsp busybox true; echo $?; docker rm -f nsi nsp',
  },
  {
    name: 'uts host',
    script: 'docker run --rm --uts host busybox hostname | wc -l; docker run --rm --uts host -h x busybox true; echo $?',
  },
  {
    name: 'cgroup namespace',
    script:
      'docker run --rm --cgroupns private busybox sh -c "grep -c :/\\$ /proc/self/cgroup" | grep -c .; docker create --cgroupns bogus busybox; echo $?',
  },
  {
    name: 'ulimits: as inspect shows them',
    script:
      'docker create --name ul --ulimit nofile=10:20 --ulimit core=0 busybox >/dev/null; docker inspect -f "{{json .HostConfig.Ulimits}}" ul; docker rm ul',
  },
  {
    name: 'devices',
    script:
      'docker run --rm --device /dev/null:/dev/other:r busybox sh -c "ls -l /dev/other | cut -c1-10; head -c1 /dev/other | wc -c; echo x >/dev/other"; echo $?',
  },
  { name: 'device: missing', script: 'docker run --rm --device /dev/nope busybox true; echo $?' },
  {
    name: 'annotations and labels',
    script:
      'printf "a=b\\n# c\\nd\\n" >/tmp/gantry-labels-$$; docker create --name an --label-file /tmp/gantry-labels-$$ -l e=f busybox >/dev/null; docker inspect -f "{{json .Config.Labels}}" an; docker rm an; rm /tmp/gantry-labels-$$',
  },
  {
    name: 'stop signal and time-out',
    script:
      'docker run -d --name sg --stop-signal USR1 --stop-timeout 5 busybox sh -c "trap \'exit 33\' USR1; while :; do sleep 0.1; done" >/dev/null; sleep 0.5; docker stop sg; docker inspect -f "{{.State.ExitCode}} {{.Config.StopSignal}} {{.Config.StopTimeout}}" sg; docker rm sg',
  },
  { name: 'oom-score-adj', script: 'docker run --rm --oom-score-adj 500 busybox cat /proc/self/oom_score_adj' },
  {
    name: 'user namespace of the host',
    script: 'docker run --rm --userns host busybox cat /proc/self/uid_map | tr -s " "; docker create --userns bogus busybox; echo $?',
  },
  {
    name: 'read-only root with tmpfs',
    script: 'docker run --rm --read-only --tmpfs /scratch busybox sh -c "touch /scratch/x && echo ok; touch /x"; echo $?',
  },
  {
    name: 'platform',
    script: 'docker run --rm --platform linux/amd64 busybox uname -m; docker create --platform linux/s390x --pull never busybox; echo $?',
  },
  // lists, events, cleaning up
  {
    name: 'ps: filters',
    script:
      'docker create --name f1 -l k=v --expose 99 busybox sleep 1 >/dev/null; docker run -d --name f2 --network none -l k=w busybox sleep 100 >/dev/null; docker run --name f3 busybox sh -c "exit 3"; for f in ancestor=busybox ancestor=nope before=f3 since=f2 exited=3 exited=0 health=none is-task=false is-task=true isolation=default label=k label=k=v label=x name=f name=^f1\\$ name=/f1 network=none status=running status=created status=exited; do echo $f: $(docker ps -a --filter $f --format "{{.Names}}"); done; docker ps -a --filter name=f1 --filter name=f2 --format "{{.Names}}"; docker rm -f f1 f2 f3',
  },
  {
    name: 'ps: last, latest, size, quiet',
    script:
      'docker create --name g1 busybox true >/dev/null; docker run --name g2 busybox sh -c "head -c 5000 /dev/zero >/f"; docker ps -l --format "{{.Names}}"; docker ps -n 2 --format "{{.Names}}"; docker ps -as --format "{{.Names}} {{.Size}}"; docker ps -aq --no-trunc | head -1 | wc -c; docker ps -a --format "table {{.Names}}\\t{{.Status}}" | cut -c1-15; docker ps -a --format "{{json .Names}} {{upper .State}} {{.Label \\"x\\"}}"; docker rm g1 g2',
  },
  {
    name: 'inspect: several, of several types',
    script:
      'docker create --name ia busybox true >/dev/null; docker volume create iv >/dev/null; docker inspect -f "{{.Name}}" ia iv bridge nope; echo $?; docker inspect --type volume ia; echo $?; docker inspect --type container -f "{{.Path}}" ia; docker inspect -s -f "{{.SizeRootFs}}" ia | wc -l; docker rm ia; docker volume rm iv',
  },
  {
    name: 'inspect: templates that fail',
    script:
      'docker create --name ib busybox true >/dev/null; docker inspect -f "{{.Nope}}" ib; echo $?; docker inspect -f "{{" ib; echo $?; docker inspect -f "{{range .Args}}{{.}}{{end}}" ib; docker rm ib',
  },
  {
    name: 'names and signals that are none',
    script: 'docker create --name nz busybox >/dev/null; docker rename nz "a b"; echo $?; docker kill -s 99 nz; echo $?; docker rm nz',
    differs: 'the peer puts what it was doing in front of the same text',
  },
  {
    name: 'rename: taken, bad, same',
    script:
      'docker create --name na busybox >/dev/null; docker create --name nb busybox >/dev/null; docker rename na nb; echo $?; docker rename na na; echo $?; docker rename nope x; echo $?; docker rm na nb',
  },
  {
    name: 'events: a whole life',
    script: `s=$(date +%s); docker create --name eva -l whole=life --network none ${patient} >/dev/null; docker start eva >/dev/null; docker pause eva >/dev/null; docker unpause eva >/dev/null; docker rename eva evb; docker restart -t 5 evb >/dev/null; docker exec evb true; docker stop -t 5 evb >/dev/null; docker rm evb >/dev/null; docker events --since $s --until $(($(date +%s)+1)) --filter type=container --filter label=whole=life --format "{{.Action}}" | sed "s/exec_\\(create\\|start\\).*/exec_\\1/"`,
  },
  {
    name: 'events: filters',
    script:
      's=$(date +%s); docker run --rm --name evc -l a=b busybox true; u=$(($(date +%s)+1)); for f in event=die label=a=b image=busybox container=evc event=start; do echo $f $(docker events --since $s --until $u --filter type=container --filter $f --format "{{.Action}}" | wc -l); done',
  },
  {
    name: 'rm: several, with a failure between',
    script: 'docker create --name ra1 busybox >/dev/null; docker create --name ra2 busybox >/dev/null; docker rm ra1 nope ra2; echo $?',
  },
  { name: 'rm -v', script: 'docker create --name rv -v /anon busybox >/dev/null; docker rm -v rv; docker volume ls -q | wc -l' },
  {
    name: 'container prune: filters',
    script:
      'docker create --name cp1 -l keep busybox >/dev/null; docker create --name cp2 busybox >/dev/null; docker container prune -f --filter label!=keep | grep -c "^Total"; docker ps -a --format "{{.Names}}"; docker container prune -f --filter until=1h | grep -c "^Deleted"; docker rm cp1',
  },
  {
    name: 'system prune',
    script:
      'docker create --name sp busybox >/dev/null; docker network create spn >/dev/null; docker system prune -f | grep -c -e "^Deleted Containers" -e "^spn$"; docker ps -aq | wc -l; docker network ls -q --filter name=spn',
  },
  {
    name: 'system df',
    script:
      'docker create --name sd busybox >/dev/null; docker system df --format "{{.Type}} {{.TotalCount}} {{.Active}}" | grep -v Images | sort; docker rm sd',
  },
  {
    name: 'images and what they take: shared, own, and steps that nobody named',
    script: `make() { c=$(docker run -d $2 sh -c "head -c $4 /dev/zero >/$3"); docker wait $c >/dev/null; docker commit $c $1 >/dev/null; docker rm $c >/dev/null; }
      rows() { sed -n '/^REPO/,/^$/p' | grep -e ^df- -e '^<none>' | sed 's/  */ /g' | sed -E 's/ [0-9a-f]{12} .* ago / /' | sort; }
      make df-a busybox x 100000; make df-b df-a y 50000; make df-step busybox s 1000; make df-top df-step t 2000; docker rmi df-step
      docker create --name df-c df-b >/dev/null; docker system df -v | rows; docker system df --format "{{.Type}} {{.Reclaimable}}" | grep Images
      docker images -q --filter dangling=true | wc -l; docker images -aq --filter dangling=true | wc -l; docker images --filter since=df-a --filter reference="df-*" --format "{{.Repository}}" | sort
      docker image prune -f; docker image prune -af --filter until=soon; echo $?
      docker rm df-c; docker rmi df-top df-b df-a | grep -c Untagged`,
  },
  {
    name: 'kill: bad signals',
    script:
      'docker run -d --name kb busybox sleep 100 >/dev/null; docker kill -s BOGUS kb; echo $?; docker kill -s sigkill kb; docker wait kb; docker rm kb',
  },
  {
    name: 'stop: several, and what is missing',
    script: `docker run -d --name sm1 ${patient} >/dev/null; docker stop -t 5 sm1 nope; echo $?; docker stop sm1; docker rm sm1`,
  },
  {
    name: 'start: several, attached to several',
    script:
      'docker create --name sx1 busybox true >/dev/null; docker create --name sx2 busybox true >/dev/null; docker start sx1 nope sx2; echo $?; docker start -a sx1 sx2; echo $?; docker wait sx1 sx2 >/dev/null; docker rm sx1 sx2',
  },
  {
    name: 'run: cidfile that is there',
    script:
      'd=$(mktemp -d); touch $d/id; docker run --rm --cidfile $d/id busybox true; echo $?; docker run --rm --cidfile $d/no/id busybox true; echo $?; rm -r $d',
  },
  {
    name: 'run: env-file that is not there',
    script: 'docker run --rm --env-file /no/such busybox true; echo $?; docker run --rm -e =x busybox true; echo $?',
  },
  {
    name: 'run: -a stdin, stdout',
    script:
      'echo hi | docker run --rm -i -a stdin -a stdout busybox sh -c "cat; echo err >&2"; docker run -a stdout -d busybox true; echo $?',
  },
];
