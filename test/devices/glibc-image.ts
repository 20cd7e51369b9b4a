/** A small image whose programs have glibc's loader, made of this machine's own files; and one without it is busybox. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand, shell } from '../harness/command.ts';

/**
 * Tagged `glibc:test`: busybox for its shell, `cat` with the C library, /etc/ld.so.cache and the ldconfig that made it. The loader's LD_PRELOAD finds libraries as dlopen
 * does, so that no compiler is needed.
 */
export async function importGlibcImage(host: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-glibc-'));
  try {
    const made = await shell(
      `set -e
      root=$1; mkdir -p $root/bin $root/sbin $root/etc/ld.so.conf.d $root/tmp $root/usr/lib $root/lib64 $root/dev $root/proc $root/sys
      cp /bin/busybox $root/bin/busybox
      for applet in sh sed ls env id mknod rm touch stat head grep sleep cp readlink mkdir true; do ln $root/bin/busybox $root/bin/$applet; done
      cp -L /bin/cat $root/bin/cat-glibc; cp -L /sbin/ldconfig $root/sbin/ldconfig
      ldd /bin/cat | grep -o '/[^ ]*' | while read -r file; do mkdir -p $root$(dirname "$file"); cp -L "$file" "$root$file"; done
      echo 'include /etc/ld.so.conf.d/*.conf' >$root/etc/ld.so.conf
      ldd /bin/cat | grep -o '/[^ ]*libc.so[^ ]*' | xargs dirname >$root/etc/ld.so.conf.d/libc.conf
      chmod 0755 $root; ldconfig -r $root
      printf 'root:x:0:0:root:/root:/bin/sh\\nuser:x:1000:1000::/:/bin/sh\\n' >$root/etc/passwd
      tar -C $root --owner=0 --group=0 -cf $1.tar .`.replace(/\$1/g, join(directory, 'root')),
    );
    if (made.status !== 0) throw new Error(`cannot make the glibc image: ${made.stderr}`);
    const imported = await runCommand(['docker', '-H', host, 'import', join(directory, 'root.tar'), 'glibc:test']);
    if (imported.status !== 0) throw new Error(`cannot import the glibc image: ${imported.stderr}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
