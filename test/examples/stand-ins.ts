/**
 * Base images that the examples name and that no registry here has, made from what this machine has: Debian by mmdebstrap, Node as it is installed, and CUDA's as a Debian whose pip is set up as this
 * machine's is. A registry on loopback serves them under their real names, as a mirror of docker.io.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../harness/command.ts';
import { RegistryContent } from '../harness/fault-registry/registry-content.ts';
import { type GantryRegistry, startGantryRegistry } from '../harness/gantry-registry.ts';
import { addBusybox, addImage, debianLayer, type LayerRecipe, layerTar } from '../harness/registry-images.ts';

/** This machine's certificates: what it reaches of the world may be behind one of its own. */
export const certificates = process.env.PIP_CERT ?? '/etc/ssl/certs/ca-certificates.crt';

export async function startMirror(directory: string): Promise<GantryRegistry> {
  const debian = await debianLayer();
  if (debian === null) throw new Error("needs mmdebstrap and Debian's packages");
  const content = new RegistryContent();
  addBusybox(content, 'library/busybox', 'latest', { layers: [await busyboxRoot(directory)] });
  addImage(content, 'library/debian', 'bookworm-slim', { layers: [debian], packing: 'none', run: { Cmd: ['bash'] } });
  addImage(content, 'library/node', '20-slim', { layers: [debian, await nodeLayer(directory)], packing: 'none', run: { Cmd: ['node'] } });
  const cuda = {
    layers: [debian, pipLayer()],
    packing: 'none',
    run: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND=noninteractive'] },
  } as const;
  addImage(content, 'nvidia/cuda', '12.1-cudnn8-runtime-ubuntu22.04', cuda);
  return await startGantryRegistry({ content });
}

/** Ubuntu 22.04's pip installs into the system as it was always done; Debian's has to be told to. */
function pipLayer(): LayerRecipe {
  const configuration =
    '[global]\ncert = /etc/ssl/machine.crt\ndisable-pip-version-check = true\nbreak-system-packages = true\nroot-user-action = ignore\n';
  return {
    tar: layerTar(
      { path: 'etc/', mode: 0o755 },
      { path: 'etc/pip.conf', content: configuration, mode: 0o644 },
      { path: 'etc/ssl/', mode: 0o755 },
      { path: 'etc/ssl/machine.crt', content: readFileSync(certificates), mode: 0o644 },
    ),
  };
}

/** Node and npm of this machine. */
async function nodeLayer(directory: string): Promise<LayerRecipe> {
  const file = join(directory, 'node.tar');
  const script = `set -e
    root=${directory}/node; mkdir -p $root/usr/local/bin $root/usr/local/lib/node_modules
    cp "$(readlink -f /usr/bin/node)" $root/usr/local/bin/node
    cp -r "$(dirname "$(dirname "$(readlink -f /usr/bin/npm)")")" $root/usr/local/lib/node_modules/npm
    ln -s ../lib/node_modules/npm/bin/npm-cli.js $root/usr/local/bin/npm
    chmod -R go+rX $root
    tar -C $root --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf ${file} usr; rm -r $root`;
  return await tarBy(script, file);
}

/** With a file of users, and all applets. */
async function busyboxRoot(directory: string): Promise<LayerRecipe> {
  if (!existsSync('/bin/busybox')) throw new Error('needs busybox (apt-get install busybox-static)');
  const file = join(directory, 'busybox.tar');
  const script = `set -e
    root=${directory}/busybox; mkdir -p $root/bin $root/etc $root/tmp $root/root
    cp /bin/busybox $root/bin/busybox; for name in $(/bin/busybox --list); do [ $name = busybox ] || ln $root/bin/busybox $root/bin/$name; done
    printf 'root:x:0:0:root:/root:/bin/sh\\n' > $root/etc/passwd; printf 'root:x:0:\\n' > $root/etc/group; chmod 1777 $root/tmp
    tar -C $root --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf ${file} .; rm -r $root`;
  return await tarBy(script, file);
}

async function tarBy(script: string, file: string): Promise<LayerRecipe> {
  const { status, stderr } = await runCommand(['/bin/sh', '-c', script], { timeoutMs: 120_000 });
  if (status !== 0) throw new Error(`no stand-in could be made: ${stderr}`);
  return { tar: readFileSync(file) };
}
