# What a person does with containers, on a kernel with cgroup v2 alone and no overlay "lowerdir+". One line a check: "ok - NAME", or "not ok - NAME: why".
# docker's command line starts in 0.4 s here, so each call serves several checks where it can.
export DOCKER_HOST=unix:///run/gantry/gantry.sock
tree=/sys/fs/cgroup/gantry

same() { if [ "$2" = "$3" ]; then echo "ok - $1"; else echo "not ok - $1: wanted [$2], got [$(echo "$3" | tr '\n' '~')]"; fi; }
like() { case $3 in $2) echo "ok - $1" ;; *) echo "not ok - $1: wanted [$2], got [$(echo "$3" | tr '\n' '~')]" ;; esac; }
gone() { tries=0; while [ -e "$2" ] && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done; [ -e "$2" ] && echo "not ok - $1: $2 is there" || echo "ok - $1"; }
# Runs a command that may not exist yet: false, and a line that says so, when the daemon answers that it is not built.
built() { what=$1; shift; out=$("$@" 2>&1); case $out in *'not built yet'*) echo "skip - $what: not built yet"; return 1 ;; esac; }
# One GET of the API, its body.
api() { /opt/gantry/node -e "require('http').get({socketPath: '/run/gantry/gantry.sock', path: '/v1.51$1'}, (answer) => answer.pipe(process.stdout))"; }
run() { docker run --rm --network none "$@" 2>&1; }

# busybox's shell takes its own before those in the PATH.
ip() { /usr/bin/ip "$@"; }

start_daemon() {
  rm -f /run/gantry/gantry.sock
  # As ./gantry starts it.
  (. /autostart.sh; own_cgroup; exec /opt/gantry/node --no-warnings /opt/gantry/build/gantry.cjs daemon >>/var/log/gantryd 2>&1) &
  daemon=$!
  tries=0
  while [ ! -S /run/gantry/gantry.sock ] && [ $tries -lt 600 ]; do sleep 0.1; tries=$((tries + 1)); done
}

images() {
  like 'info tells cgroup v2, and no warning' '2 cgroupfs *cgroupns* \[\]' "$(docker info -f '{{.CgroupVersion}} {{.CgroupDriver}} {{.SecurityOptions}} {{.Warnings}}' 2>&1)"
  echo "vm: AppArmor enabled in the kernel: $(cat /sys/module/apparmor/parameters/enabled 2>&1)"
  like 'run hello-world' '*Hello from Gantry!*' "$(run hello-world)"
  docker pull -q busybox >/dev/null
  docker load -q -i /layers.tar
  same 'a chain of many layers, with a whiteout in the topmost' '119 absent' \
    "$(run --entrypoint /bin/busybox layers sh -c 'echo $(/bin/busybox ls /layers | /bin/busybox wc -l) $([ -e /layers/0 ] && echo present || echo absent)')"
}

processes() {
  run busybox sh -c 'exit 7' >/dev/null; same 'exit code' 7 $?
  run busybox /nothing >/dev/null; same 'a missing command' 127 $?
  run busybox /etc/passwd >/dev/null; same 'a command that is no program' 126 $?
  same 'standard input' 'hello' "$(echo hello | run -i busybox cat)"
  like 'a terminal' '*/dev/*seen*' "$(script -qec 'docker run --rm --network none -it busybox sh -c "tty; echo seen"' /dev/null </dev/null)"
  like 'a read-only root' '*Read-only file system*' "$(run --read-only busybox touch /file)"
  same 'a read-only bind mount and a tmpfs' 'refused 1777' "$(run -v /etc:/host:ro --tmpfs /scratch busybox sh -c 'touch /host/file 2>/dev/null || echo refused $(stat -c %a /scratch)')"
  like 'seccomp refuses what the profile does' '*Operation not permitted*' "$(run busybox unshare -m true)"
}

apparmor() {
  same 'the default profile confines' 'gantry-default (enforce)' "$(run busybox cat /proc/self/attr/current)"
  like 'inspect and info tell it' '*gantry-default*apparmor*' "$(docker create --name confined --network none busybox true >/dev/null; docker start -a confined; docker inspect -f '{{.AppArmorProfile}}' confined; docker info -f '{{.SecurityOptions}}'; docker rm confined)"
  same 'without it when that is asked' 'unconfined' "$(run --security-opt apparmor=unconfined busybox cat /proc/self/attr/current)"
  same 'privileged is unconfined' 'unconfined' "$(run --privileged busybox cat /proc/self/attr/current)"
  same 'it denies what capabilities and seccomp would allow' 'denied' "$(run --cap-add SYS_ADMIN --security-opt seccomp=unconfined busybox sh -c 'mount -t tmpfs t /tmp 2>/dev/null || echo denied')"
  same 'what masks would hide, too' 'denied' "$(run --security-opt systempaths=unconfined busybox sh -c '(echo x >/proc/sys/vm/swappiness) 2>/dev/null || echo denied')"
  printf 'profile of-mine flags=(attach_disconnected) {\n file,\n deny /etc/passwd r,\n}\n' | apparmor_parser -r 2>/dev/null
  same 'a profile by name' 'of-mine (enforce)~unreadable~' "$(run --security-opt apparmor=of-mine busybox sh -c 'cat /proc/self/attr/current; cat /etc/passwd 2>/dev/null || echo unreadable' | tr '\n' '~')"
  like 'a profile that is not there' '*set the AppArmor profile "nobodys"*' "$(run --security-opt apparmor=nobodys busybox true)"
  docker run -d --network none --name confined busybox sleep 1000 >/dev/null
  same 'an exec is confined' 'gantry-default (enforce)' "$(docker exec confined cat /proc/self/attr/current)"
  docker rm -f confined >/dev/null
}

# Other runtimes, by the same door as on any host. Not by default, since every start of the daemon takes its time here: GANTRY_VM_CHECKS='images runtimes leave'.
runtimes() {
  mkdir -p /etc/gantry
  programs=
  for name in $(ls /opt/oci 2>/dev/null); do programs="$programs${programs:+, }\"$name\": {\"path\": \"/opt/oci/$name\", \"timeoutSeconds\": 60}"; done
  [ -n "$programs" ] || { echo 'skip - other runtimes: this machine has neither runc nor crun'; return; }
  echo "{\"runtimes\": {$programs}}" >/etc/gantry/daemon.json
  kill -TERM $daemon; wait $daemon
  start_daemon
  for name in $(ls /opt/oci); do
    same "$name: output and exit code" 'here~3' "$(docker run --rm --network none --runtime $name busybox sh -c 'echo here; exit 3' 2>/dev/null | tr '\n' '~'; docker run --network none --runtime $name --name coded busybox sh -c 'exit 3' 2>/dev/null; echo $?; docker rm coded >/dev/null)"
    same "$name: a missing command" 127 "$(docker run --rm --network none --runtime $name busybox /nothing >/dev/null 2>&1; echo $?)"
    id=$(docker run -d --network none --runtime $name --name other -m 64m --pids-limit 33 -v /etc:/host:ro busybox sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done' 2>/dev/null)
    same "$name: limits" '67108864~33' "$(cat $tree/$id/memory.max | tr '\n' '~'; cat $tree/$id/pids.max)"
    same "$name: exec, its code, and the profile" 'gantry-default (enforce)~6' "$(docker exec other cat /proc/self/attr/current | tr '\n' '~'; docker exec other sh -c 'exit 6'; echo $?)"
    like "$name: a terminal for an exec" '*/dev/pts/0*' "$(script -qec 'docker exec -it other tty' /dev/null </dev/null)"
    docker pause other >/dev/null; same "$name: paused" 1 "$(cat $tree/$id/cgroup.freeze)"; docker unpause other >/dev/null
    docker rename other other-$name
  done
  kill -9 $daemon; wait $daemon 2>/dev/null
  start_daemon
  for name in $(ls /opt/oci); do
    same "$name: it outlives a killed daemon" 'running~7' "$(docker inspect -f '{{.State.Status}}' other-$name | tr '\n' '~'; docker exec other-$name sh -c 'exit 7'; echo $?)"
    id=$(docker inspect -f '{{.Id}}' other-$name)
    docker stop other-$name >/dev/null; same "$name: exit code of a stop" 9 "$(docker inspect -f '{{.State.ExitCode}}' other-$name)"
    docker rm other-$name >/dev/null
    gone "$name: its cgroup" $tree/$id
  done
}

userns() {
  same 'hardened: ids of its own, on layers with mapped owners' '524288~0~0~0~2048~' "$(run --security-opt hardened=true busybox sh -c 'awk "{print \$2}" /proc/self/uid_map; id -u; stat -c %u /bin/busybox; touch /made && stat -c %u /made; cat /sys/fs/cgroup/pids.max' | tr '\n' '~')"
  docker run -d --network none --name mapped --security-opt hardened=true -v owned:/owned busybox sleep 1000 >/dev/null
  same 'exec and a volume there' '5~5~' "$(docker exec mapped chown 5 /owned; docker exec -u 5 mapped sh -c 'id -u; touch /owned/x; stat -c %u /owned/x' | tr '\n' '~')"
  same 'the volume for others' 5 "$(run -v owned:/owned busybox stat -c %u /owned/x)"
  docker rm -f mapped >/dev/null
  docker volume rm owned >/dev/null
}

limits() {
  id=$(docker run -d --network none --name limited -m 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --pids-limit 33 \
    --cpuset-cpus 0 --blkio-weight 300 --device-write-bps /dev/vda:1mb busybox sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done')
  own=$tree/$id
  same 'memory.max' 67108864 "$(cat $own/memory.max)"
  same 'memory.swap.max' 33554432 "$(cat $own/memory.swap.max)"
  same 'memory.low' 33554432 "$(cat $own/memory.low)"
  same 'cpu.max' '50000 100000' "$(cat $own/cpu.max)"
  same 'cpu.weight' 59 "$(cat $own/cpu.weight)"
  same 'pids.max' 33 "$(cat $own/pids.max)"
  same 'cpuset.cpus' 0 "$(cat $own/cpuset.cpus)"
  same 'io.max' '254:0 rbps=max wbps=1048576 riops=max wiops=max' "$(cat $own/io.max)"
  same 'the container sees its own cgroup' '67108864~0::/~' "$(docker exec limited sh -c 'cat /sys/fs/cgroup/memory.max /proc/self/cgroup' | tr '\n' '~')"
  docker exec limited sh -c 'exit 5'; same 'exit code of an exec' 5 $?
  if built pause docker pause limited; then
    same 'pause freezes' 1 "$(cat $own/cgroup.freeze)"
    docker unpause limited >/dev/null; same 'unpause thaws' 0 "$(cat $own/cgroup.freeze)"
  fi
  built stats docker stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' limited && like stats '*64MiB* [1-9]*' "$out"
  built update docker update -m 80m --memory-swap 100m --pids-limit 44 limited &&
    same update '83886080 20971520 44' "$(echo $(cat $own/memory.max $own/memory.swap.max $own/pids.max))"
  like 'stats as JSON has the names of v2' '*"inactive_file"*"limit":83886080*' "$(api '/containers/limited/stats?stream=0&one-shot=1')"
  docker exec limited sh -c 'dd if=/dev/zero of=/dev/shm/held bs=1M count=30 2>/dev/null'
  like 'a memory limit that would kill is refused, and nothing changes' '*bytes are in use*83886080 44*' \
    "$(docker update --pids-limit 55 -m 20m --memory-swap 20m limited 2>&1; echo $(cat $own/memory.max $own/pids.max))"
  like 'top' '*sleep*' "$(docker top limited 2>&1)"
  docker kill -s TERM limited >/dev/null; same 'kill with a signal that is caught' 9 "$(docker wait limited)"
  gone 'the cgroup is gone at the exit' $own
  docker rm limited >/dev/null
  docker run --network none --name hungry -m 20m --memory-swap 20m busybox dd if=/dev/zero of=/dev/null bs=100M count=1 >/dev/null 2>&1; same 'out of memory' 137 $?
  same 'OOMKilled' true "$(docker inspect -f '{{.State.OOMKilled}}' hungry)"
  docker rm hungry >/dev/null
  docker run -d --network none --name parent -m 20m --memory-swap 20m busybox sh -c 'head -c 200m /dev/zero | tail -c 100m >/dev/null; sleep 1000' >/dev/null
  tries=0; until [ "$(docker inspect -f '{{.State.OOMKilled}}' parent)" = true ] || [ $tries -gt 40 ]; do sleep 0.2; tries=$((tries + 1)); done
  same 'an OOM kill is told while the container goes on' 'running true' "$(docker inspect -f '{{.State.Status}} {{.State.OOMKilled}}' parent)"
  docker rm -f parent >/dev/null
  id=$(docker run -d --network none --name below --cgroup-parent group/x --pids-limit 9 busybox sleep 1000)
  same 'a cgroup parent below the daemon' 9 "$(cat $tree/group/x/$id/pids.max)"
  docker rm -f below >/dev/null; gone 'which goes with its last container' $tree/group
  id=$(docker run -d --network none --name other --cgroup-parent /mine --cpus 0.5 busybox sleep 1000)
  same 'a cgroup parent below the root' '50000 100000' "$(cat /sys/fs/cgroup/mine/$id/cpu.max)"
  docker rm -f other >/dev/null
  like 'the process limit holds' '*fork*' "$(run --pids-limit 4 busybox sh -c 'for i in 1 2 3 4 5 6; do sleep 1 & done; wait')"
}

devices() {
  like 'the disk cannot be read, though its node can be made' '*Operation not permitted*' "$(run busybox sh -c 'mknod /disk b 254 0 && dd if=/disk of=/dev/null count=1')"
  same 'the usual devices work' '4 4' "$(run busybox sh -c 'echo >/dev/null && echo $(head -c 4 /dev/zero | wc -c) $(head -c 4 /dev/urandom | wc -c)')"
  like 'a device for reading only' '512*Operation not permitted*' "$(run --device /dev/vda:/dev/disk:r busybox sh -c 'head -c 512 /dev/disk | wc -c; : 1<>/dev/disk' 2>&1)"
  mkdir -p /etc/cdi
  echo '{"cdiVersion": "0.5.0", "kind": "example.com/none", "devices": [{"name": "one", "containerEdits": {"env": ["ONE=1"],
    "deviceNodes": [{"path": "/dev/none", "type": "c", "major": 195, "minor": 7, "permissions": "r", "fileMode": 438}],
    "mounts": [{"hostPath": "/autostart.sh", "containerPath": "/opt/none/name", "options": ["ro", "bind"]}]}}]}' >/etc/cdi/none.json
  like 'a described device is opened as it says, others are not' '1*No such device or address*Operation not permitted*Operation not permitted*none*' \
    "$(run --device example.com/none=one --name described busybox sh -c 'echo $ONE; cat </dev/none; (: >/dev/none); mknod /x c 195 8; cat </x; ls /opt')"
  like '--privileged reads the disk and may make cgroups' '512 made *ffffffff' \
    "$(run --privileged busybox sh -c 'mkdir /sys/fs/cgroup/sub && echo $(head -c 512 /dev/vda | wc -c) made $(grep CapEff /proc/self/status)')"
}

# Another host on a wire: the namespace `lan`.
networks() {
  ip netns add lan
  ip link add wire type veth peer name wire netns lan
  ip addr add 198.18.7.1/24 dev wire; ip link set wire up
  ip -n lan addr add 198.18.7.2/24 dev wire; ip -n lan link set wire up; ip -n lan link set lo up
  ip -n lan route add 172.16.0.0/12 via 198.18.7.1
  ip addr add fd18:7::1/64 dev wire nodad; ip -n lan addr add fd18:7::2/64 dev wire nodad
  lan() { ip netns exec lan "$@" 2>&1; }

  serve='mkdir /w; echo page >/w/index.html; exec httpd -f -p [::]:80 -h /w'
  docker network create --ipv6 net >/dev/null
  docker run -d --name server --network net --network-alias www -p 8080:80 busybox sh -c "$serve" >/dev/null
  docker run -d --name plain -p 8081:80 busybox sh -c "$serve" >/dev/null
  sleep 1
  same 'names and aliases of a network of its own' 'page page' "$(docker run --rm --network net busybox sh -c 'echo $(wget -qO- http://server/) $(wget -qO- http://www/)' 2>&1)"
  same 'a published port: by 127.0.0.1, the own address, ::1' 'page page page' \
    "$(echo $(timeout 5 wget -qO- http://127.0.0.1:8080/ 2>&1) $(timeout 5 wget -qO- http://198.18.7.1:8080/ 2>&1) $(timeout 5 wget -qO- 'http://[::1]:8080/' 2>&1))"
  same 'a published port from another host, both families, both kinds of bridge' 'page page page' \
    "$(echo $(lan timeout 5 wget -qO- http://198.18.7.1:8080/) $(lan timeout 5 wget -qO- 'http://[fd18:7::1]:8080/') $(lan timeout 5 wget -qO- http://198.18.7.1:8081/))"
  lan httpd -p 80 -h / >/dev/null
  same 'the default bridge leads out, with the address of the host' '0' "$(docker exec plain ping -c 1 -W 5 198.18.7.2 >/dev/null 2>&1; echo $?)"
  like 'what is not published is closed to others' '*timed out*' "$(lan timeout 2 wget -qO- http://$(docker inspect -f '{{.NetworkSettings.IPAddress}}' plain)/ 2>&1 || echo timed out)"

  nft flush ruleset
  started=$(date +%s); back=; tries=0
  while [ -z "$back" ] && [ $tries -lt 100 ]; do back=$(lan timeout 1 wget -qO- http://198.18.7.1:8080/ 2>/dev/null | grep page); tries=$((tries + 1)); done
  echo "vm: rules were back after $tries tries, $(($(date +%s) - started)) s"
  same 'flushed rules are put back' page "$back"
  same 'and those of names in the containers are not touched' page "$(docker exec plain true; docker run --rm --network net busybox wget -qO- http://server/ 2>&1)"

  docker network connect net plain
  same 'joined while it runs' page "$(docker exec plain timeout 5 wget -qO- http://server/ 2>&1)"
  docker network disconnect net plain
  same 'left while it runs: one interface and lo' 2 "$(docker exec plain sh -c 'ls /sys/class/net | wc -l')"
  docker rm -f server plain >/dev/null
  same 'network rm' net "$(docker network rm net)"
  same 'no interface and no element is left' '0 0' "$(echo $(ip -o link show type bridge | grep -vc gantry0) $(nft list table inet gantry | grep -c '808[01]'))"
  for kind in macvlan ipvlan; do
    docker network create -d $kind -o parent=wire --subnet 198.18.7.0/24 --gateway 198.18.7.2 stacked >/dev/null
    same "$kind" 0 "$(docker run --rm --network stacked --ip 198.18.7.77 busybox ping -c 1 -W 5 198.18.7.2 >/dev/null 2>&1; echo $?)"
    docker network rm stacked >/dev/null
  done
  ip netns del lan
}

volumes() {
  gantry() { /opt/gantry/node --no-warnings /opt/gantry/build/gantry.cjs -H $DOCKER_HOST "$@" 2>&1; }
  docker volume create data >/dev/null
  same 'a volume outlives its container' inside "$(run -v data:/d busybox sh -c 'mkdir /d/sub && echo inside >/d/sub/file'; run -v data:/d:ro busybox cat /d/sub/file)"
  like 'read-only' '*Read-only*' "$(run -v data:/d:ro busybox touch /d/file)"
  same 'an empty volume is filled from the image' 119 "$(run -v fresh:/layers --entrypoint /bin/busybox layers sh -c '/bin/busybox ls /layers | /bin/busybox wc -l')"
  same 'subpath' inside "$(gantry run --rm --network none --mount type=volume,src=data,dst=/s,volume-subpath=sub busybox cat /s/file)"
  same 'mapped owners: a user writes' '1000:1000' "$(gantry run --rm --network none --user 1000:1000 --mount type=volume,src=data,dst=/d,uid=1000,gid=1000 busybox sh -c 'touch /d/mine && stat -c %u:%g /d/mine')"
  same 'and it is root on the disk' '0:0' "$(stat -c %u:%g /var/lib/gantry/volumes/data/_data/mine)"
  docker volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,mode=0710 memory >/dev/null
  same 'a volume that is a tmpfs' '710 1024' "$(run -v memory:/m busybox sh -c 'echo $(stat -c %a /m) $(df -k /m | tail -n 1 | tr -s " " | cut -d" " -f2)')"
  same 'and is not mounted any more' '' "$(grep volumes/memory /proc/mounts)"
  same 'clone and rename' inside "$(gantry volume clone data copy >/dev/null; gantry volume rename copy other >/dev/null; cat /var/lib/gantry/volumes/other/_data/sub/file)"
  docker volume rm data fresh memory other >/dev/null
  same 'volumes are gone' '' "$(docker volume ls -q)"
}

ends() {
  id=$(docker run -d --network none --name many --privileged busybox sh -c 'mkdir /sys/fs/cgroup/sub; for i in 1 2 3 4 5 6 7 8; do setsid sleep 1000 & done; sleep 1000 & echo 0 >/sys/fs/cgroup/sub/cgroup.procs; exec sleep 1000')
  sleep 0.5
  pids=$(cat $tree/$id/cgroup.procs $tree/$id/sub/cgroup.procs)
  # As systemd and a Docker inside do: processes move to the leaf, and the kernel lets nobody into the cgroup above any more.
  docker exec many sh -c 'for pid in $(cat /sys/fs/cgroup/cgroup.procs); do echo $pid >/sys/fs/cgroup/sub/cgroup.procs; done; echo +pids >/sys/fs/cgroup/cgroup.subtree_control' 2>/dev/null
  same 'the container hands controllers down' pids "$(cat $tree/$id/cgroup.subtree_control)"
  same 'exec joins the cgroup of the first process then' '0::/sub' "$(docker exec many cat /proc/self/cgroup 2>&1)"
  docker kill many >/dev/null; same 'kill' 137 "$(docker wait many)"
  gone 'the cgroup is gone with those below it' $tree/$id
  alive=; for pid in $pids; do [ -d /proc/$pid ] && alive="$alive $pid"; done
  same 'no process is left' '' "$alive"
  docker rm many >/dev/null

  # Without a PID namespace of its own only the cgroup tells what belongs to it.
  id=$(docker run -d --network none --name below --privileged --pid host busybox sh -c 'mkdir /sys/fs/cgroup/sub; setsid sleep 1234 & echo $! >/sys/fs/cgroup/sub/cgroup.procs; exec sleep 1000')
  sleep 0.5
  pid=$(cat $tree/$id/sub/cgroup.procs)
  same 'a process in a cgroup below' '/proc' "$([ -n "$pid" ] && ls -d /proc)"
  docker rm -f below >/dev/null
  gone 'it ends with the container' /proc/$pid
  gone 'and so does its cgroup' $tree/$id

  id=$(docker run -d --network none --name adopted busybox sh -c 'echo before; while [ ! -e /end ]; do sleep 0.1; done; echo after; exit 4')
  kill -9 $daemon
  start_daemon
  same 'a container outlives a killed daemon' running "$(docker inspect -f '{{.State.Status}}' adopted)"
  docker exec adopted touch /end
  same 'its exit code' 4 "$(docker wait adopted)"
  same 'its output' 'before~after~' "$(docker logs adopted | tr '\n' '~')"
  built diff docker diff adopted && same 'diff reads the upper directory' 'A /end' "$out"
  built commit docker commit adopted again && same commit '/end' "$(run again ls /end)"
  built cp docker cp adopted:/end /tmp/end && same 'cp from a stopped container' '/tmp/end' "$(ls /tmp/end)"
  docker rm adopted >/dev/null
}

leave() {
  same 'no cgroup of a container is left' 'daemon launcher' "$(echo $(cd $tree && ls -d */ | tr -d /))"
  same 'the daemon is in its own cgroup, below the root' '0::/gantry/daemon' "$(cat /proc/$daemon/cgroup)"
  kill -TERM $daemon
  wait $daemon; same 'the daemon stops' 0 $?
  gone "the launcher leaves with it" $tree/launcher
  same 'nothing went wrong in the log' '' "$(grep -E ' (ERROR|FATAL) ' /var/log/gantryd | grep -v nobodys)"
  same 'the kernel had nothing to complain about' '' "$(dmesg | grep -E 'overlayfs|BUG:|WARNING:|Oops' | head -n 3)"
}

start_daemon
echo "vm: daemon ready after $(cut -d' ' -f1 /proc/uptime) s"
for part in ${*:-images processes apparmor userns limits devices networks volumes ends leave}; do $part; echo "vm: $part done after $(cut -d' ' -f1 /proc/uptime) s"; done
cat /var/log/gantryd
