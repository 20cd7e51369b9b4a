/** Command lines on volumes and mounts, in the manner of lines.ts. Each removes what it makes. */
import type { CompatLine } from './lines.ts';

export const volumeLines: readonly CompatLine[] = [
  {
    name: 'volume create and ls',
    script:
      'docker volume create v1; docker volume create v1; docker volume ls; docker volume ls -q; docker volume ls --format "{{.Name}} {{.Driver}} {{.Scope}} {{.Size}} {{.Links}}"; docker volume rm v1',
  },
  { name: 'volume create: anonymous', script: 'v=$(docker volume create); echo $v | wc -c; docker volume rm $v | wc -c' },
  {
    name: 'volume inspect',
    script:
      'docker volume create --label a=b --label c -o type=tmpfs -o device=tmpfs -o o=size=1m vi; docker volume inspect -f "{{.Name}} {{.Driver}} {{.Scope}} {{json .Labels}} {{json .Options}}" vi; docker volume inspect -f "{{.Mountpoint}}" vi | grep -c /volumes/vi/_data; docker volume rm vi',
  },
  { name: 'volume inspect: missing', script: 'docker volume inspect nope; echo $?; docker inspect --type volume nope; echo $?' },
  {
    name: 'volume ls: filters',
    script:
      'docker volume create --label a=b vf1; docker volume create vf2; docker create --name vfc -v vf2:/d busybox true >/dev/null; for f in dangling=true dangling=false driver=local driver=nope label=a label=a=b label=a=x name=vf name=f1; do echo $f: $(docker volume ls -q --filter $f); done; docker rm vfc; docker volume rm vf1 vf2',
  },
  {
    name: 'volume ls: unknown filter',
    script: 'docker volume ls --filter bogus=1; echo $?',
    differs: 'newer daemons write "invalid" with a small letter',
  },
  {
    name: 'volume create: unknown driver',
    script: 'docker volume create -d nope vun; echo $?; docker volume ls -q --filter name=vun',
    peerWaits: true,
  },
  {
    name: 'volume create: another driver',
    script: 'docker volume create vd; docker volume create -d nope vd; echo $?; docker volume rm vd',
    peerWaits: true,
  },
  {
    name: 'volume create: bad names',
    script: 'for n in .. a/b -x /abs "a b" x; do docker volume create -- "$n"; echo $?; done',
  },
  {
    name: 'volume create: bad options',
    script: 'docker volume create -o bogus=1 vo; echo $?; docker volume create -o device=/x vo; echo $?; docker volume ls -q',
  },
  { name: 'volume rm: missing', script: 'docker volume rm nope; echo $?; docker volume rm -f nope; echo $?' },
  {
    name: 'volume rm: in use',
    script: 'docker create --name vuc -v vu:/d busybox true >/dev/null; docker volume rm vu; echo $?; docker rm vuc; docker volume rm vu',
  },
  {
    name: 'volume: data outlives containers',
    script:
      'docker run --rm -v keep:/data busybox sh -c "echo kept >/data/f"; docker run --rm -v keep:/data:ro busybox cat /data/f; docker run --rm -v keep:/data:ro busybox touch /data/x; echo $?; docker volume rm keep',
  },
  {
    name: 'volume: copy-up',
    script:
      'docker run --rm -v up:/etc busybox sh -c "cat /etc/passwd | wc -l; stat -c \'%a %u %g\' /etc /etc/passwd"; docker run --rm -v up:/other busybox ls /other | grep -v mtab; docker run --rm -v up2:/home:nocopy busybox ls /home; docker volume rm up up2',
  },
  {
    name: 'volume: copy-up keeps the mode of the directory',
    script: 'docker run --rm -v mode:/tmp busybox stat -c "%a %u %g" /tmp; docker volume rm mode',
  },
  {
    name: 'volume: anonymous, and rm -v',
    script:
      'docker run --name va -v /anon busybox sh -c "echo x >/anon/f"; docker inspect -f "{{range .Mounts}}{{.Type}} {{len .Name}} {{.Destination}} {{.Driver}} {{.Mode}} {{.RW}} {{.Propagation}}{{end}} {{json .Config.Volumes}}" va; docker volume ls -q | wc -l; docker rm -v va; docker volume ls -q | wc -l',
  },
  {
    name: 'volume: --rm takes anonymous ones along',
    script: 'docker run --rm -v /anon -v named:/n busybox true; docker volume ls -q; docker volume rm named',
  },
  {
    name: 'volume: mounts as inspect and ps show them',
    script:
      'd=$(mktemp -d); docker create --name vm -v vn:/n:ro -v $d:/b:ro --mount type=volume,src=vs,dst=/s,volume-nocopy --mount type=bind,src=$d,dst=/c,readonly --mount type=tmpfs,dst=/t,tmpfs-size=1m --tmpfs /u busybox true >/dev/null; docker inspect -f "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.Driver}} {{.Mode}} {{.RW}} {{.Propagation}}{{println}}{{end}}" vm | sort; docker inspect -f "{{range .HostConfig.Binds}}{{println .}}{{end}}" vm | sort; docker inspect -f "{{json .HostConfig.Mounts}} {{json .HostConfig.Tmpfs}}" vm; docker ps -a --filter volume=vn --format "{{.Names}} {{.LocalVolumes}}"; docker ps -a --filter volume=/c --format "{{.Names}}"; docker ps -aq --filter volume=nope; docker rm vm; docker volume rm vn vs; rm -r $d',
  },
  {
    name: 'volume: --volumes-from',
    script:
      'docker create --name vf -v vfn:/n -v /anon busybox true >/dev/null; docker run --rm --volumes-from vf busybox sh -c "echo 1 >/n/f; echo 2 >/anon/f"; docker run --rm --volumes-from vf:ro busybox sh -c "cat /n/f /anon/f; touch /n/x"; echo $?; docker run --rm --volumes-from nope busybox true; echo $?; docker rm -v vf; docker volume rm vfn',
  },
  {
    name: 'volume: options of the local driver',
    script:
      "docker volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,uid=1000 vt; docker run --rm -v vt:/t busybox sh -c \"df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2; stat -c %u /t; grep ' /t ' /proc/mounts | cut -d' ' -f1,3\"; docker volume rm vt",
  },
  {
    name: 'volume: a bind by the local driver',
    script:
      'd=$(mktemp -d); echo there >$d/f; docker volume create -o type=none -o device=$d -o o=bind vb; docker run --rm -v vb:/b busybox cat /b/f; docker volume rm vb; cat $d/f; rm -r $d',
  },
  {
    name: 'volume: a bind of what is not there',
    script:
      'docker volume create -o type=none -o device=/no/such/place -o o=bind vb; docker run --rm -v vb:/b busybox true; echo $?; docker volume rm vb',
  },
  {
    name: 'volume: of a mount, with labels and options',
    script:
      'docker run --rm --mount type=volume,src=vl,dst=/v,volume-label=a=b,volume-opt=type=tmpfs,volume-opt=device=tmpfs busybox grep -c "tmpfs /v " /proc/mounts; docker volume inspect -f "{{json .Labels}} {{json .Options}}" vl; docker volume rm vl',
  },
  {
    name: 'volume: unknown driver in a run',
    script: 'docker run --rm --volume-driver nope -v vx:/x busybox true; echo $?; docker volume ls -q --filter name=vx',
    peerWaits: true,
    differs: 'the peer answers 404, so that the CLI pulls the image first',
  },
  {
    name: 'mounts: refused',
    script:
      'for m in type=bogus,dst=/a type=bind,src=rel,dst=/a type=bind,src=/a,dst=b type=bind,src=/a,dst=/ type=tmpfs,src=/a,dst=/t type=volume,src=/abs,dst=/v; do docker create --mount $m busybox; echo $?; done; for v in /a:/b:bogus aa:b /a:/b:ro,rw :/a; do docker create -v $v busybox; echo $?; done',
  },
  {
    name: 'mounts: twice the same place',
    script: 'docker create -v aa:/x -v bb:/x busybox; echo $?; docker volume rm -f aa bb >/dev/null 2>&1',
  },
  {
    name: 'mounts: tmpfs options',
    script:
      "docker run --rm --tmpfs /t:size=2m,mode=1770,uid=5 busybox sh -c \"stat -c '%a %u' /t; df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2\"; docker run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700 busybox stat -c %a /t",
  },
  {
    name: 'volume prune',
    script:
      'docker volume create vp1; docker volume create --label keep vp2; docker create --name vpc -v vp3:/d busybox true >/dev/null; docker volume prune -f --filter label!=keep; docker volume ls -q; docker rm vpc; docker volume rm -f vp1 vp2 vp3',
  },
  {
    name: 'volume prune with 1.41 takes named ones',
    script:
      'export DOCKER_API_VERSION=1.41; docker volume create vq1; docker create --name vqc -v vq2:/d busybox true >/dev/null; docker volume prune -f; docker volume ls -q; docker rm vqc; docker volume rm vq2',
  },
  {
    name: 'system prune --volumes',
    script:
      'export DOCKER_API_VERSION=1.41; docker volume create vy; docker network create ny >/dev/null; docker system prune -f --volumes | grep -e vy -e ny; docker volume ls -q; docker network ls -q --filter name=ny',
  },
  {
    name: 'system df: volumes',
    script:
      'docker run --rm -v df:/d busybox sh -c "head -c 5000 /dev/zero >/d/f"; docker system df --format "{{.Type}} {{.TotalCount}} {{.Active}}" | grep Volumes; docker system df -v | sed -n "/^Local Volumes/,/^Build/p" | grep -c "^df  *0 "; docker volume rm df',
  },
  {
    name: 'events of volumes',
    script:
      's=$(date +%s); docker volume create ve >/dev/null; docker run --rm -v ve:/d:ro busybox true; docker volume rm ve >/dev/null; docker events --since $s --until $(($(date +%s)+1)) --filter type=volume --filter volume=ve --format "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.driver}} {{.Actor.Attributes.destination}} {{index .Actor.Attributes \\"read/write\\"}} {{.Actor.Attributes.propagation}}" | sort -u',
  },
];
