/**
 * Command lines on registries, in the manner of lines.ts. Each side has registries of its own on its loopback: $R (anybody), $RA (user alice, password wonder), $RD
 * (nothing listens). $IN enters their network, for what the client does itself. Each line uses repositories of its own, so that what is pushed and what is there already is the same on both sides.
 */
import type { CompatLine } from './lines.ts';

/** A `DOCKER_CONFIG` of the line's own. */
const config = 'export DOCKER_CONFIG=$(mktemp -d);';
const signIn = 'echo wonder | docker login -u alice --password-stdin $RA >/dev/null 2>&1;';
const make = (...names: readonly string[]): string =>
  names.map((name) => `docker tag busybox ${name} && docker push -q ${name} >/dev/null;`).join(' ');
/** Untagged and away, as far as nothing else needs it. */
const forget = (...names: readonly string[]): string => `docker rmi ${names.join(' ')} >/dev/null;`;
/** A second layer on busybox, without a run. */
const layered = (name: string, file: string): string =>
  `docker create --name ${file} busybox >/dev/null; docker cp -q /etc/hostname ${file}:/${file}; docker commit ${file} ${name} >/dev/null; docker rm ${file} >/dev/null;`;
/** The reference by digest of what was pushed or pulled. */
const digestOf = (name: string): string => `d=$(docker images --digests --format "{{.Repository}}@{{.Digest}}" ${name} | head -1);`;
/** What is said of a layer while it moves depends on how fast that is; ids differ, and the order with them. */
const withoutHaste = 'grep -v -e Verifying -e "Download complete" -e Waiting -e Pushing | sed "s/^[0-9a-f]*: //" | sort';
/**
 * Nothing of layers. The peer remembers which layer a compressed blob was; we keep the bytes of what was pulled, so that they can be pushed and saved as they came, and
 * fetch those that were only pushed from here and forgotten since.
 */
const withoutLayers = 'grep -v -E "^[0-9a-f]{12}: "';

export const registryLines: readonly CompatLine[] = [
  // push
  {
    name: 'push: one tag, again, another tag',
    script: `docker tag busybox $R/pa:1; docker push $R/pa:1; docker push $R/pa:1; docker tag busybox $R/pa; docker push $R/pa; ${forget('$R/pa:1', '$R/pa')}`,
  },
  {
    name: 'push: quietly, all tags',
    script: `docker tag busybox $R/pb:1; docker tag busybox $R/pb:2; docker push -q $R/pb:1; docker push -a $R/pb | sort; docker push -aq $R/pb; ${forget('$R/pb:1', '$R/pb:2')}`,
  },
  {
    name: 'push: what is not there',
    script:
      'docker push $R/nope:1; echo $?; docker push -a $R/nope; echo $?; docker push -a $R/nope:1; echo $?; docker push $R/nope@sha256:0123456789012345678901234567890123456789012345678901234567890123; echo $?',
  },
  {
    name: 'push: a second layer',
    script: `docker tag busybox $R/pd; docker push -q $R/pd; ${layered('$R/pd:2', 'pdfile')} docker push $R/pd:2 | ${withoutHaste}; ${forget('$R/pd', '$R/pd:2')}`,
  },
  {
    name: 'push: to a repository beside',
    script: `${make('$R/pe/one')} docker tag busybox $R/pe/two; docker push $R/pe/two | sed "s/Mounted from .*/Mounted/; s/Layer already exists/Mounted/; s/Pushed/Mounted/"; ${forget('$R/pe/one', '$R/pe/two')}`,
  },
  {
    name: 'push: without credentials',
    script: `${config} docker tag busybox $RA/pf; docker push $RA/pf; echo $?; ${forget('$RA/pf')}`,
    differs: 'we say what was asked for',
  },
  {
    name: 'push: nobody listens',
    script: `docker tag busybox $RD/pg; docker push -q $RD/pg >/dev/null 2>&1; echo $?; ${forget('$RD/pg')}`,
  },
  {
    name: 'push: images shows the digest',
    script: `${make('$R/ph:1')} docker images --digests --format "{{.Repository}} {{.Tag}} {{.Digest}}" $R/ph; docker inspect -f "{{len .RepoDigests}}" $R/ph:1; ${forget('$R/ph:1')}`,
  },
  // pull
  {
    name: 'pull: a tag, again',
    script: `${make('$R/la:1')} ${forget('$R/la:1')} docker pull $R/la:1 | ${withoutLayers}; docker pull $R/la:1; ${forget('$R/la:1')}`,
  },
  { name: 'pull: the default tag', script: `${make('$R/lb')} ${forget('$R/lb')} docker pull $R/lb | ${withoutLayers}; ${forget('$R/lb')}` },
  {
    name: 'pull: quietly',
    script: `${make('$R/lc:1')} ${forget('$R/lc:1')} docker pull -q $R/lc:1; docker pull -q $R/lc:1; ${forget('$R/lc:1')}`,
  },
  {
    name: 'pull: all tags',
    script: `${make('$R/ld:1', '$R/ld:2')} ${forget('$R/ld:1', '$R/ld:2')} docker pull -a $R/ld | ${withoutLayers} | sort; docker pull -aq $R/ld; docker images --format "{{.Tag}}" $R/ld | sort; ${forget('$R/ld:1', '$R/ld:2')}`,
  },
  {
    name: 'pull: layers that are new',
    script: `${make('$R/le:base')} ${layered('$R/le:1', 'lefile')} docker push -q $R/le:1; ${forget('$R/le:1')} docker pull $R/le:1 | ${withoutHaste}; docker run --rm $R/le:1 ls /lefile; ${forget('$R/le:1', '$R/le:base')}`,
  },
  {
    name: 'pull: by digest',
    script: `${make('$R/lf:1')} ${digestOf('$R/lf')} ${forget('$R/lf:1')} docker pull $d | ${withoutLayers}; docker images --digests --format "{{.Repository}} {{.Tag}} {{.Digest}}" $R/lf; docker run --rm $d echo by digest; docker pull -q $d; docker rmi $d`,
  },
  {
    name: 'pull: a tag and a digest',
    script: `${make('$R/lg:1')} ${digestOf('$R/lg')} ${forget('$R/lg:1')} docker pull $R/lg:1@\${d#*@} | ${withoutLayers}; docker rmi $d`,
  },
  {
    name: 'pull: no such tag, repository, digest',
    script: `${make('$R/lh:1')} docker pull $R/lh:nope; echo $?; docker pull -q $R/lh:nope; echo $?; docker pull $R/lhnope; echo $?; docker pull -a $R/lhnope; echo $?; docker pull $R/lh@sha256:0123456789012345678901234567890123456789012345678901234567890123; echo $?; ${forget('$R/lh:1')}`,
  },
  {
    name: 'pull: without and with wrong credentials',
    script: `${config} ${signIn} ${make('$RA/li:1')} docker logout $RA >/dev/null; docker pull $RA/li:1; echo $?; echo "{\\"auths\\":{\\"$RA\\":{\\"auth\\":\\"YWxpY2U6bm9wZQ==\\"}}}" >$DOCKER_CONFIG/config.json; docker pull $RA/li:1; echo $?; ${forget('$RA/li:1')}`,
    differs: 'the peer names the URL it asked for',
  },
  {
    name: 'pull: with credentials',
    script: `${config} ${signIn} ${make('$RA/lj:1')} ${forget('$RA/lj:1')} docker pull $RA/lj:1 | ${withoutLayers}; docker run --rm --pull always $RA/lj:1 echo ran; ${forget('$RA/lj:1')}`,
  },
  {
    name: 'pull: nobody listens',
    script: 'docker pull $RD/x; echo $?; docker pull -a $RD/x; echo $?',
    differs: "the peer has Go's words for it",
  },
  {
    name: 'pull: refused by name',
    script: 'docker pull scratch; echo $?; docker pull $R/UPPER; echo $?; docker pull -a $R/x:1; echo $?; docker pull $R/x:; echo $?',
  },
  {
    name: 'pull: a platform that is not there',
    script: `${make('$R/ll:1')} docker pull --platform linux/arm64 $R/ll:1 >/dev/null; ${forget('$R/ll:1')}`,
    differs: 'the peer takes what there is, with a warning',
  },
  { name: 'pull: an unknown platform', script: 'docker pull --platform bogus $R/x; echo $?' },
  // run and create
  {
    name: 'run: pulls what is missing',
    script: `${make('$R/ra:1')} ${forget('$R/ra:1')} (docker run --rm $R/ra:1 echo ran 2>&1) | ${withoutLayers}; docker run --rm $R/ra:1 echo again; ${forget('$R/ra:1')}`,
  },
  {
    name: 'run: --pull always, never, missing',
    script: `${make('$R/rb:1')} docker run --rm --pull always $R/rb:1 echo one; docker run --rm -q --pull always $R/rb:1 echo two; ${forget('$R/rb:1')} docker run --rm --pull never $R/rb:1 true; echo $?; docker run --rm --pull missing -q $R/rb:1 echo three; docker run --rm --pull bogus $R/rb:1 true; echo $?; ${forget('$R/rb:1')}`,
  },
  {
    name: 'create: --pull always',
    script: `${make('$R/rc:1')} ${forget('$R/rc:1')} (docker create --name rcc --pull always $R/rc:1 2>&1) | ${withoutLayers}; docker rm rcc; docker create --name rcc -q $R/rc:1; docker rm rcc; docker create --pull always $R/rc:nope; echo $?; ${forget('$R/rc:1')}`,
  },
  {
    name: 'run: what no registry has',
    script: 'docker run --rm $R/rdnope; echo $?; docker run --rm -q $R/rdnope:1; echo $?; docker create $R/rdnope; echo $?',
  },
  {
    name: 'run: after a newer push of the tag',
    script: `${make('$R/re:1')} ${layered('$R/re:1', 'refile')} docker push -q $R/re:1; docker tag busybox $R/re:1; docker run --rm --pull missing $R/re:1 ls /refile; echo $?; docker run --rm -q --pull always $R/re:1 ls /refile; docker rmi $R/re:1 | grep -c Untagged; docker image prune -f >/dev/null`,
  },
  // images by digest
  {
    name: 'rmi: a tag keeps the digest of another',
    script: `${make('$R/ia:1', '$R/ia:2')} docker rmi $R/ia:1; docker images --digests --format "{{.Tag}} {{.Digest}}" $R/ia; docker rmi $R/ia:2`,
  },
  {
    name: 'rmi: by digest',
    script: `${make('$R/ib:1')} ${digestOf('$R/ib')} docker rmi $R/ib:1; docker pull -q $d; docker rmi $d; docker rmi $d; echo $?`,
  },
  {
    name: 'images: filters of what was pulled',
    script: `${make('$R/ic:1')} docker images -q --filter reference="$R/ic:*" | wc -l; docker images --format "{{.Repository}}:{{.Tag}}" $R/ic; docker images -q $R/ic:2; ${forget('$R/ic:1')}`,
  },
  {
    name: 'tag: a pulled one',
    script: `${make('$R/id:1')} docker tag $R/id:1 idlocal; docker inspect -f "{{range .RepoTags}}{{.}} {{end}}" idlocal | tr " " "\\n" | grep id | sort; docker rmi idlocal; ${forget('$R/id:1')}`,
  },
  {
    name: 'save and load of a pulled one',
    script: `${make('$R/ie:1')} ${forget('$R/ie:1')} docker pull -q $R/ie:1; docker save $R/ie:1 | docker load; ${forget('$R/ie:1')}`,
  },
  // login
  {
    name: 'login: good, bad, out',
    script: `${config} echo wonder | docker login -u alice --password-stdin $RA; cat $DOCKER_CONFIG/config.json; docker login $RA; docker login -u alice -p nope $RA; echo $?; docker logout $RA; cat $DOCKER_CONFIG/config.json; docker logout $RA`,
  },
  { name: 'login: where no password is needed', script: `${config} docker login -u a -p b $R; docker logout $R` },
  { name: 'login: nobody listens', script: `${config} docker login -u a -p b $RD; echo $?`, differs: "the peer has Go's words for it" },
  // manifest: the client asks the registry itself
  {
    name: 'manifest inspect',
    script: `${make('$R/ma:1')} $IN docker manifest inspect --insecure $R/ma:1 | grep -c digest; $IN docker manifest inspect --insecure $R/ma:nope; echo $?; ${forget('$R/ma:1')}`,
  },
  // prune
  {
    name: 'image prune: of what was pulled',
    script: `${layered('$R/na:1', 'nafile')} docker push -q $R/na:1; docker tag busybox $R/na:1; docker image prune -f | grep -c deleted; ${forget('$R/na:1')}`,
  },
];
