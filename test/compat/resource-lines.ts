/** Command lines on pausing, usage and limits, in the manner of lines.ts. What is asked of the kernel is looked at in test/kernel. */
import type { CompatLine } from './lines.ts';

const sleeper = 'docker run -d --network none';
const state = 'docker inspect -f "{{.State.Status}} {{.State.Running}} {{.State.Paused}} {{.State.ExitCode}}"';

export const resourceLines: readonly CompatLine[] = [
  {
    name: 'pause: twice, of what is stopped, of what is missing',
    script: `${sleeper} --name pb busybox sleep 1000 >/dev/null; docker pause pb; docker pause pb; echo $?; docker unpause pb; docker unpause pb; echo $?; docker kill pb; docker pause pb; echo $?; docker pause nope; echo $?; docker rm pb`,
  },
  {
    name: 'pause: what a paused container refuses',
    script: `${sleeper} --name pc busybox sleep 1000 >/dev/null; docker pause pc; docker exec pc true; echo $?; docker attach pc; echo $?; docker start pc; echo $?; docker rm pc; echo $?; docker rm -f pc`,
  },
  {
    name: 'pause: stop, kill and restart thaw',
    script: `${sleeper} --name pd busybox sleep 1000 >/dev/null; docker pause pd; docker stop -t 0 pd; ${state} pd; docker start pd; docker pause pd; docker kill pd; ${state} pd; docker start pd; docker pause pd; docker restart -t 0 pd; ${state} pd; docker rm -f pd`,
  },
  {
    name: 'pause: a signal that is not to end it stays for later',
    script: `${sleeper} --name pe --stop-signal TERM busybox sleep 1000 >/dev/null; docker pause pe; docker kill -s WINCH pe; ${state} pe; docker kill -s TERM pe; sleep 1; ${state} pe; docker rm -f pe`,
  },
  {
    name: 'pause: events',
    script: `${sleeper} --name pf busybox sleep 1000 >/dev/null; docker pause pf >/dev/null; docker unpause pf >/dev/null; sleep 1.1; docker events --since 30s --until 0s --filter container=pf --format "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}" --filter event=pause --filter event=unpause; docker rm -f pf`,
  },
  { name: 'stats: of a missing container', script: 'docker stats --no-stream nope; echo $?' },
  {
    name: 'update: conflicts with what is set',
    script: `${sleeper} --name uc --cpus 0.5 busybox sleep 1000 >/dev/null; docker update --cpu-quota 20000 uc; docker update --cpu-period 20000 uc; docker update -m 64m uc; echo $?; docker update --cpu-shares 200 uc; docker rm -f uc; docker run -d --rm --name ud busybox sleep 1000 >/dev/null; docker update --restart always ud; echo $?; docker rm -f ud`,
  },
  {
    name: 'update: values out of range',
    script: `docker create --name ue busybox true >/dev/null; for f in "-m 5m" "--cpuset-cpus 99" "--cpu-period 5" "--memory-reservation 1m"; do docker update $f ue; echo $?; done; docker update ue; echo $?; docker update -m 1g nope; echo $?; docker rm ue`,
  },
  {
    name: 'limits: values out of range',
    script:
      'for f in "-m 3m" "-m 64m --memory-swap 32m" "--memory-reservation 1m" "--cpuset-cpus 0-99" "--cpuset-mems 5" "--cpus 100" "--cpu-period 5" "--oom-score-adj 2000" "--cpu-rt-period 100000 --cpu-rt-runtime 200000" "--memory-swappiness 150"; do docker create $f busybox true; echo $?; done',
  },
  {
    name: 'limits: warnings',
    script:
      'docker create --name la --oom-kill-disable busybox true >/dev/null; docker create --name lb --blkio-weight 100 busybox true >/dev/null; docker inspect -f "{{.HostConfig.BlkioWeight}}" lb; docker rm la lb',
  },
  {
    name: 'limits: block I/O of a disk that does not exist',
    script: 'docker run --rm --device-read-bps /dev/nope:1mb busybox true; echo $?',
    differs: 'the text in front names another runtime',
    status: 0,
  },
  {
    name: 'resize: a container without a terminal takes it silently',
    script: `${sleeper} --name ra busybox sleep 1000 >/dev/null; curl -s -o /dev/null -w "%{http_code}" -X POST --unix-socket \${DOCKER_HOST#unix://} "http://d/v1.41/containers/ra/resize?h=10&w=20"; docker rm -f ra`,
  },
];
