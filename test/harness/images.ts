/** Images for tests, made from Debian's packages; cached between runs below `.cache/`. */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand, shell } from './command.ts';

const cache = fileURLToPath(new URL('../../.cache/images', import.meta.url));

/** A docker-archive of a one-layer busybox image, tagged `busybox:latest`; null where busybox-static is missing. */
export async function busyboxArchive(): Promise<string | null> {
  if (!existsSync('/bin/busybox')) return null;
  const path = join(cache, 'busybox.tar');
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const script = `
    set -e
    work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
    root=$work/root; mkdir -p $root/bin $root/etc $root/tmp $root/root $root/home $root/var $root/usr $root/dev $root/proc $root/sys
    chmod 1777 $root/tmp; chmod 0700 $root/root
    cp /bin/busybox $root/bin/busybox
    for applet in $(/bin/busybox --list); do [ $applet = busybox ] || ln $root/bin/busybox $root/bin/$applet; done
    printf 'root:x:0:0:root:/root:/bin/sh\\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\\nuser:x:1000:1000:user:/home/user:/bin/sh\\n' >$root/etc/passwd
    printf 'root:x:0:\\ndaemon:x:1:\\nuser:x:1000:\\nextra:x:2000:user\\n' >$root/etc/group
    tar -C $root --sort=name --mtime=@1700000000 --owner=0 --group=0 -cf $work/layer.tar .
    diff=$(sha256sum $work/layer.tar | cut -d' ' -f1)
    printf '{"architecture":"amd64","os":"linux","created":"2023-11-14T22:13:20Z","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"2023-11-14T22:13:20Z","created_by":"busybox-static"}]}' $diff >$work/config.json
    config=$(sha256sum $work/config.json | cut -d' ' -f1)
    mkdir $work/out; mv $work/config.json $work/out/$config.json; mkdir $work/out/$diff; mv $work/layer.tar $work/out/$diff/layer.tar
    printf '[{"Config":"%s.json","RepoTags":["busybox:latest"],"Layers":["%s/layer.tar"]}]' $config $diff >$work/out/manifest.json
    tar -C $work/out -cf ${path}.$$ manifest.json $config.json $diff
    mv ${path}.$$ ${path}`;
  const made = await shell(script);
  if (made.status !== 0) throw new Error(`busybox image: ${made.stderr}`);
  return path;
}

/** Loads busybox into each engine; throws what is needed where it cannot be made. */
export async function loadBusybox(...hosts: readonly string[]): Promise<void> {
  const archive = await busyboxArchive();
  if (archive === null) throw new Error('needs busybox (apt-get install busybox-static)');
  for (const host of hosts) {
    const { status, stderr } = await runCommand(['docker', '-H', host, 'load', '-q', '-i', archive]);
    if (status !== 0) throw new Error(`cannot load busybox into ${host}: ${stderr}`);
  }
}

/** The Debian root file system as image `debian:test` in each engine; throws what is needed where it cannot be made. */
export async function importDebian(...hosts: readonly string[]): Promise<void> {
  const tar = await debianRootTar();
  if (tar === null) throw new Error("needs mmdebstrap and Debian's packages");
  for (const host of hosts) {
    const { status, stderr } = await runCommand(['docker', '-H', host, 'import', tar, 'debian:test'], { timeoutMs: 180_000 });
    if (status !== 0) throw new Error(`cannot import Debian into ${host}: ${stderr}`);
  }
}

/** A Debian root file system with the usual network tools as a plain tar (for `import`), by mmdebstrap; null where mmdebstrap is missing or Debian's packages are out of reach. */
export async function debianRootTar(): Promise<string | null> {
  const path = join(cache, 'debian-2.tar');
  if (existsSync(path)) return path;
  if (!existsSync('/usr/bin/mmdebstrap')) return null;
  mkdirSync(cache, { recursive: true });
  const include = 'python3-minimal,iputils-ping,libcap2-bin,procps,iproute2,iperf3,bind9-dnsutils,dnsperf,netcat-openbsd';
  const made = await shell(`mmdebstrap --quiet --variant=minbase --include=${include} bookworm ${path}.new.tar`, { timeoutMs: 300_000 });
  if (made.status !== 0) return null;
  renameSync(`${path}.new.tar`, path);
  return path;
}
