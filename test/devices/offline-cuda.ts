/**
 * What stands in for the base image nvidia/cuda where the deep-learning example is built without a network: Debian with apt that has no sources, python3-pip installed, and a pip whose
 * packages are in the image. Made once a checkout, below .cache, by mmdebstrap and pip: that takes half a minute and Debian's and Python's package registries.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digestOf } from '../../src/oci/digest.ts';
import { runCommand } from '../harness/command.ts';

const cache = fileURLToPath(new URL('../../.cache/images', import.meta.url));
const requirements = fileURLToPath(new URL('../../examples/deep-learning/requirements.txt', import.meta.url));
/** This machine's certificates: what it reaches of the world may be behind one of its own. */
const certificates = process.env.PIP_CERT ?? '/etc/ssl/certs/ca-certificates.crt';

const configuration = '[global]\nno-index = true\nfind-links = /opt/wheels\nbreak-system-packages = true\nroot-user-action = ignore\n';

/** `$1` is the new root; resolv.conf of this machine is in it while this runs. */
const addWheels = `set -e
  mkdir "$1/opt/wheels"; cp $IN/certificates.pem $IN/requirements.txt "$1/opt"
  chroot "$1" env -u PIP_FIND_LINKS -u REQUESTS_CA_BUNDLE -u CURL_CA_BUNDLE -u SSL_CERT_FILE -u SSL_CERT_DIR PIP_CERT=/opt/certificates.pem pip3 download -q --no-deps --only-binary=:all: -d /opt/wheels -r /opt/requirements.txt
  rm -rf "$1/opt/certificates.pem" "$1/opt/requirements.txt" "$1/root/.cache" "$1"/etc/apt/sources.list* "$1"/var/lib/apt/lists/*
  mkdir "$1/etc/apt/sources.list.d"; cp $IN/pip.conf "$1/etc/pip.conf"`;

/** The path of its root file system, a tar archive for `import`. */
export async function offlineCuda(): Promise<string> {
  const key = digestOf(Buffer.from(`${addWheels}${configuration}${readFileSync(requirements, 'utf8')}`)).slice(7, 19);
  const path = join(cache, `offline-cuda-${key}.tar`);
  if (!existsSync(path)) await make(path);
  return path;
}

async function make(path: string): Promise<void> {
  mkdirSync(cache, { recursive: true });
  const given = mkdtempSync(join(tmpdir(), 'gantry-offline-cuda-'));
  try {
    copyFileSync(certificates, join(given, 'certificates.pem'));
    copyFileSync(requirements, join(given, 'requirements.txt'));
    writeFileSync(join(given, 'pip.conf'), configuration);
    const unread = ['doc', 'locale', 'man'].map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`);
    const { status, stderr } = await runCommand(
      [
        'mmdebstrap',
        '--quiet',
        '--variant=minbase',
        '--include=python3-pip',
        ...unread,
        `--customize-hook=${addWheels}`,
        'bookworm',
        `${path}.new.tar`,
      ],
      { timeoutMs: 400_000, env: { ...process.env, IN: given } },
    );
    if (status !== 0) throw new Error(`no base image for the deep-learning example could be made: ${stderr}`);
    renameSync(`${path}.new.tar`, path);
  } finally {
    rmSync(given, { recursive: true, force: true });
    rmSync(`${path}.new.tar`, { force: true });
  }
}
