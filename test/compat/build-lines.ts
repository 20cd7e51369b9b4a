/**
 * `docker build` by the classic builder, which is what the docker CLI uses where buildx is not installed (see lines.ts). What is shown of images between steps is left out on both sides: here are none.
 */
import type { CompatLine } from './lines.ts';

/** `b ARGS`: builds, without lines about ids and containers; `f`: the Dockerfile on standard input into the context `$d`. */
const prelude = `d=$(mktemp -d); trap 'rm -rf $d' EXIT; mkdir $d/c; cd $d
f() { cat >$d/c/Dockerfile; }
b() { docker build "$@" >$d/out 2>$d/err; s=$?; sed 's/\\x1b\\[[0-9]*m//g' $d/out | grep -v -e '^ --->' -e '^Removing inter' -e '^Sending build'; grep -v -e DEPRECATED -e BuildKit -e buildx -e '^$' $d/err >&2; return $s; }
`;

function line(name: string, dockerfile: string, script: string, rest: Partial<CompatLine> = {}): CompatLine {
  return { name: `build: ${name}`, script: `${prelude}f <<'EOF'\n${dockerfile}\nEOF\n${script}`, ...rest };
}

const newerText = 'newer daemons word it otherwise';
const noContainers = 'the peer has containers and images for each step';

export const buildLines: readonly CompatLine[] = [
  line('steps and output', 'FROM busybox\nENV A=1\nRUN echo $A\nRUN echo err >&2\nCMD ["x"]', 'b c'),
  line(
    'tags',
    'FROM busybox\nLABEL a=tags',
    'b -t bt1 -t bt2:v c; docker images --format "{{.Repository}}:{{.Tag}}" | grep ^bt | sort; docker rmi bt1 bt2:v >/dev/null',
  ),
  line('-q', 'FROM busybox\nLABEL a=quiet', 'b -q -t bq c; docker inspect -f "{{json .Config.Labels}}" bq; docker rmi bq | head -1'),
  line(
    'run what was built',
    'FROM busybox\nCOPY x /x\nENTRYPOINT ["cat"]\nCMD ["/x"]',
    'echo content >c/x; b -q -t br c; docker run --rm br; docker rmi br | head -1',
  ),
  line(
    '-f inside and outside of the context',
    'FROM scratch',
    'echo y >c/y; printf "FROM busybox\\nCOPY y /\\n" >c/Other; b -f c/Other c; printf "FROM busybox\\nLABEL b=2\\n" >out.df; b -f out.df c',
  ),
  line('Dockerfile on standard input', '', 'printf "FROM busybox\\nLABEL stdin=1\\n" | b -'),
  line('Dockerfile on standard input, and a context', '', 'echo z >c/z; printf "FROM busybox\\nCOPY z /\\n" | b -f - c'),
  line('archives on standard input', 'FROM busybox\nCOPY x /\nLABEL tar=1', 'echo x >c/x; tar -C c -c . | b -; tar -C c -cz . | b -'),
  line(
    'build arguments',
    'FROM busybox\nARG A\nARG B=b\nARG C\nRUN echo "$A $B $C"',
    'C=fromenv b --build-arg A=a --build-arg C --build-arg D=unused c',
  ),
  line(
    'labels',
    'FROM busybox\nLABEL a=1',
    'b -q -t bl --label a=2 --label "b=two words" c; docker inspect -f "{{json .Config.Labels}}" bl; docker rmi bl | head -1',
    {},
  ),
  line(
    'stages and --target',
    'ARG V=1\nFROM busybox AS one\nRUN echo one\nFROM busybox\nRUN echo never',
    'b --target one c; b --target none c; echo $?',
    {
      differs: `of a target that is missing: ${newerText}`,
    },
  ),
  line('COPY --from', 'FROM busybox AS one\nRUN echo made >/m\nFROM busybox\nCOPY --from=one /m /n\nRUN cat /n', 'b c'),
  line('a command fails', 'FROM busybox\nRUN echo before; exit 3\nRUN echo after', 'b c; echo $?', {
    differs: 'our stream shows the part of the Dockerfile in front of the error',
  }),
  line('a command fails, standard error', 'FROM busybox\nRUN exit 3', 'b c >/dev/null; echo $?'),
  line('a command fails, -q', 'FROM busybox\nRUN exit 5', 'b -q c >/dev/null 2>&1; echo $?'),
  line('a command that is missing', 'FROM busybox\nRUN nothere', 'b c >/dev/null; echo $?'),
  line('unknown instruction', 'FROM busybox\nBOGUS x', 'b c; echo $?', { differs: `line N: ${newerText} (on line N)` }),
  line('COPY of something missing', 'FROM busybox\nCOPY nope /', 'b c; echo $?', { differs: "BuildKit's words" }),
  line('no Dockerfile', '', 'rm c/Dockerfile; b c; echo $?'),
  line('no context', '', 'b nothere; echo $?'),
  line('a tag that is none', 'FROM busybox', 'b -t UPPER c; echo $?'),
  line('base image that is missing', 'FROM no-such-image.invalid/x:1', 'b c >/dev/null 2>&1; echo $?'),
  line(
    '.dockerignore',
    'FROM busybox\nCOPY . /all\nRUN cd /all; find . | sort',
    'mkdir c/a c/b; touch c/a/1 c/b/2 c/k.log c/keep.log; printf "*.log\\n!keep.log\\na\\nDockerfile\\n.dockerignore\\n" >c/.dockerignore; b c',
  ),
  line(
    'cache',
    'FROM busybox\nRUN echo cached step',
    'b c >/dev/null; docker build c 2>/dev/null | grep -c "Using cache"; b --no-cache c | grep -c "^cached step"',
  ),
  line(
    '--iidfile',
    'FROM busybox\nLABEL iid=1',
    'b --iidfile id c >/dev/null; wc -c <id; docker inspect -f "{{json .Config.Labels}}" $(cat id)',
  ),
  line('networks', 'FROM busybox\nRUN ip -o link | wc -l', 'b --network none c'),
  line('host names', 'FROM busybox\nRUN grep other /etc/hosts', 'b --add-host other:10.1.2.3 c'),
  line(
    'limits',
    'FROM busybox\nRUN ulimit -n; df -k /dev/shm | tail -1 | cut -c21-40; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.shares',
    'b --ulimit nofile=123:456 --shm-size 32m -m 64m --cpu-shares 300 c',
  ),
  line('what changes nothing here', 'FROM busybox\nLABEL rm=1', 'b --rm=false --force-rm --compress --pull=false --platform linux/amd64 c'),
  line('ONBUILD', 'FROM busybox AS b\nONBUILD RUN echo triggered\nFROM b\nRUN echo own', 'b --no-cache c | grep -e "^triggered" -e "^own"'),
  line('user and directory', 'FROM busybox\nUSER user\nWORKDIR /tmp\nRUN id; pwd; echo $HOME', 'b c'),
  line(
    'history',
    'FROM busybox\nENV A=1\nRUN echo made >/m\nCMD ["x"]',
    'b -q -t bh c; docker history --format "{{.CreatedBy}}" bh | wc -l; docker rmi bh | head -1',
  ),
  line(
    'prune',
    'FROM busybox\nRUN echo pruned >/x',
    'b c >/dev/null; docker builder prune -f | tail -1 | cut -c1-22; docker builder prune -af --keep-storage 1g | tail -1 | cut -c1-22; docker system df --format "{{.Type}}" | tail -1',
  ),
  line(
    'a base image behind a password',
    'FROM scratch',
    'export DOCKER_CONFIG=$d/config; docker tag busybox $RA/base:1; echo wonder | docker login -u alice --password-stdin $RA >/dev/null 2>&1; docker push -q $RA/base:1; docker rmi $RA/base:1; printf "FROM $RA/base:1\\nRUN echo from behind\\n" | b --no-cache - | grep "^from"; docker rmi $RA/base:1 >/dev/null; docker logout $RA >/dev/null; printf "FROM $RA/base:1\\n" | b - >/dev/null 2>&1; echo $?',
  ),
  line('--squash', 'FROM busybox\nRUN echo 1 >/x', 'b --squash c; echo $?', {}),
  line(
    'images left',
    'FROM busybox\nENV left=1\nCMD ["left"]',
    'b -t left c >/dev/null; docker images -a --filter label=none -q | wc -l; docker ps -aq | wc -l; docker rmi left | wc -l',
    {
      differs: noContainers,
    },
  ),
];
