/**
 * Records the peer's `config.json` for every case of `spec-cases.ts`:
 *
 *   node test/differential/record-specs.ts SOCKET EXEC_ROOT DATA_ROOT
 *
 * against a private dockerd 20.10 (its own --exec-root and --data-root, `--bridge=none --iptables=false --default-runtime capture
 * --add-runtime capture=…/capture-runtime.sh`, under `unshare -n -m` with shared mounts). It imports a busybox image called `peer:1`, creates and starts
 * each container by the API, takes the spec that the capturing runtime kept, and removes the container. Ids and roots are replaced by names, so that a
 * recording made twice is the same.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { defaultContainerConfig, defaultHostConfig } from '../../src/containers/config-defaults.ts';
import { type SpecCase, specCases } from './spec-cases.ts';

const [socketPath = '', execRoot = '', dataRoot = ''] = process.argv.slice(2);
const captured = '/tmp/gantry-spec/captured';
const recorded = new URL('./recorded/', import.meta.url).pathname;
const keptDevices = [
  '/dev/nothing',
  '/dev/fuse',
  '/dev/kmsg',
  '/dev/loop0',
  '/dev/net/tun',
  '/dev/null',
  '/dev/ptmx',
  '/dev/vda',
  '/dev/zero',
];

function call(method: string, path: string, body?: unknown): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request({ socketPath, method, path: `/v1.41${path}`, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function mustCall(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const answer = await call(method, path, body);
  if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
  return answer.body === '' ? {} : JSON.parse(answer.body);
}

function importImage(): void {
  const build = '/tmp/gantry-spec/image';
  mkdirSync(`${build}/bin`, { recursive: true });
  mkdirSync(`${build}/etc`, { recursive: true });
  execFileSync('cp', ['/bin/busybox', `${build}/bin/busybox`]);
  for (const name of ['sh', 'sleep']) execFileSync('ln', ['-sf', 'busybox', `${build}/bin/${name}`]);
  writeFileSync(`${build}/etc/passwd`, 'root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/sh\n');
  writeFileSync(`${build}/etc/group`, 'root:x:0:\nwww:x:33:\nadm:x:4:\ntape:x:26:www\n');
  const image = 'tar -C /tmp/gantry-spec/image -c . | docker import -c \'ENV IMAGE=1 REMOVED=1\' -c \'CMD ["sleep","1000"]\' - peer:1';
  execFileSync('sh', ['-c', image], { env: { ...process.env, DOCKER_HOST: `unix://${socketPath}` } });
}

async function record(specCase: SpecCase, other: string): Promise<void> {
  const hostConfig = defaultHostConfig({ NetworkMode: 'none', ...specCase.hostConfig });
  const config = defaultContainerConfig({ Image: 'peer:1', ...specCase.config });
  const body = JSON.stringify({ ...config, HostConfig: hostConfig }).replaceAll('container:OTHER', `container:${other}`);
  const { Id: id } = (await mustCall('POST', '/containers/create', JSON.parse(body))) as { Id: string };
  try {
    const started = await call('POST', `/containers/${id}/start`);
    const bundle = `${captured}/${id}.json`;
    if (!existsSync(bundle)) throw new Error(`no spec of ${id} was captured: ${started.body}`);
    if (started.status >= 400) console.error(`${specCase.name}: captured, though it did not start: ${started.body.trim()}`);
    const inspected = (await mustCall('GET', `/containers/${other}/json`)) as { State: { Pid: number } };
    const spec = normalise(readFileSync(bundle, 'utf8'), id, other, inspected.State.Pid);
    writeFileSync(`${recorded}${specCase.name}.json`, spec);
  } finally {
    await call('DELETE', `/containers/${id}?force=1`);
  }
}

function normalise(text: string, id: string, other: string, otherPid: number): string {
  const named = text
    .replaceAll(id, '<id>')
    .replaceAll(id.slice(0, 12), '<short-id>')
    .replaceAll(other, '<other>')
    .replaceAll(`/proc/${otherPid}/`, '/proc/<other-pid>/')
    .replaceAll(other.slice(0, 12), '<other-short-id>')
    .replaceAll(dataRoot, '<data-root>')
    .replaceAll(execRoot, '<exec-root>')
    .replaceAll(/overlay2\/[0-9a-f]{64}/g, 'overlay2/<layer>');
  const spec = JSON.parse(named);
  // Which paths and addresses a hook has says nothing about the sandbox, and the profile is compared by the seccomp tests.
  delete spec.hooks;
  // --privileged lists every device of the recording host: a few stand for all.
  spec.linux.devices = spec.linux.devices?.filter((device: { path: string }) => keptDevices.includes(device.path));
  if (spec.linux.seccomp !== undefined) spec.linux.seccomp = { defaultAction: spec.linux.seccomp.defaultAction };
  return `${JSON.stringify(spec, null, 1)}\n`;
}

mkdirSync('/tmp/gantry-spec/directory', { recursive: true });
writeFileSync('/tmp/gantry-spec/file', 'file\n');
mkdirSync(recorded, { recursive: true });
importImage();
const { Id: other } = (await mustCall('POST', '/containers/create', {
  Image: 'peer:1',
  HostConfig: { NetworkMode: 'none', IpcMode: 'shareable' },
})) as { Id: string };
await mustCall('POST', `/containers/${other}/start`);
let failed = 0;
for (const specCase of specCases) {
  await record(specCase, other).catch((error: unknown) => {
    failed += 1;
    console.error(`${specCase.name}: ${error}`);
  });
}
await call('DELETE', `/containers/${other}?force=1`);
if (existsSync('/tmp/gantry-spec')) rmSync('/tmp/gantry-spec', { recursive: true });
process.exitCode = failed === 0 ? 0 : 1;
