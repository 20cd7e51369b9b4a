/**
 * `runtimeSpec` against what dockerd 20.10 asked its runtime for (recorded by `record-specs.ts`), option set by option set. Every difference is listed below
 * with its reason; one that is not listed fails, and so does a listed one that no longer occurs.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ContainerId } from '../../src/base/brand.ts';
import { defaultContainerConfig, defaultHostConfig } from '../../src/containers/config-defaults.ts';
import type { HostFacts } from '../../src/containers/host-facts.ts';
import { mergeImageConfig } from '../../src/containers/merge-image-config.ts';
import { plainMounts } from '../../src/containers/mounts.ts';
import { runtimeSpec } from '../../src/containers/runtime-spec.ts';
import { everyLimit } from '../../src/containers/testing/every-limit.ts';
import { capabilityNames } from '../../src/linux/constants.ts';
import type { Device, RuntimeSpec } from '../../src/oci/runtime-spec.ts';
import { resolveUser } from '../../src/oci/users.ts';
import { type SpecCase, specCases } from './spec-cases.ts';

interface Difference {
  /** Cases it is expected in. */
  readonly cases: readonly string[] | 'all';
  readonly path: RegExp;
  readonly reason: string;
}

const differences: readonly Difference[] = [
  { cases: 'all', path: /^ociVersion$/, reason: 'newer specification' },
  { cases: 'all', path: /^root\.path$/, reason: 'no mount of ours exists on the host: the overlay is a step of the plan' },
  { cases: 'all', path: /^process\.env\[HOME\]$/, reason: 'runc adds HOME when the spec has none; our spec is the whole truth' },
  {
    cases: 'all',
    path: /^linux\.maskedPaths\[\/(proc\/interrupts|sys\/devices\/virtual\/powercap|sys\/devices\/system\/cpu.*)\]$/,
    reason: 'stricter: the list of the newest moby',
  },
  { cases: 'all', path: /^linux\.resources\.memory\.disableOOMKiller$/, reason: 'false is the default: left out' },
  { cases: 'all', path: /^linux\.resources\.(cpu\.shares|blockIO\.weight)$/, reason: 'zero means not asked for: left out' },
  {
    cases: 'all',
    path: /^linux\.resources\.devices\[\[\["access","(m"\],\["allow",true\],\["major",-1\]|rwm"\],\["allow",true\],\["major",(1\],\["minor",7|5\],\["minor",2|136)\]).*\]/,
    reason: 'runc adds these rules after those of the spec; our spec is the whole truth',
  },
  {
    cases: ['privileged', 'privileged-profile'],
    path: /^process\.capabilities\.(bounding|effective|permitted)\[CAP_(PERFMON|BPF|CHECKPOINT_RESTORE)\]$/,
    reason: 'capabilities of kernels 5.8 and later, unknown to the peer',
  },
  {
    cases: ['privileged-profile'],
    path: /^linux\.seccomp$/,
    reason: 'newer moby: a profile that was asked for holds under --privileged too',
  },
  {
    cases: ['binds'],
    path: /^mounts\[\/(data|mnt\/bind)\]\.options$/,
    reason: 'newer moby: a read-only bind is read-only below too (rro)',
  },
  {
    cases: ['terminal-user-workdir'],
    path: /^process\.consoleSize\.(height|width)$/,
    reason: 'newer moby: the terminal has its size before the process starts',
  },
  {
    cases: ['ipc-shareable', 'container-namespaces'],
    path: /^mounts\[\/dev\/shm\]\.(type|source|options)$/,
    reason: 'no container mount on the host: sharing /dev/shm with another container is refused by name until it is built',
  },
  {
    cases: ['container-namespaces'],
    path: /^linux\.namespaces\[ipc\]\.path$/,
    reason: 'the same: joining the IPC namespace of another container is refused by name, the rest of the case is compared',
  },
  {
    cases: ['host-namespaces'],
    path: /^linux\.namespaces\[network\]\.(type|path)$/,
    reason: "the peer joins the daemon's network namespace by path, ours does not leave it",
  },
];

const host: HostFacts = {
  hostname: 'vm',
  architecture: 'amd64',
  kernel: { major: 6, minor: 18 },
  cgroupVersion: 1,
  limits: everyLimit,
  capabilities: new Set(capabilityNames),
  cpus: 2,
  onlineCpus: '0-1',
  onlineMemoryNodes: '0',
  hardLimits: {},
  thermalThrottlePaths: [],
};

const image = { Env: ['IMAGE=1', 'REMOVED=1'], Cmd: ['sleep', '1000'] };
const files = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/sh\n',
  group: 'root:x:0:\nwww:x:33:\nadm:x:4:\ntape:x:26:www\n',
};

for (const specCase of specCases) {
  test(`runtimeSpec equals dockerd's, less the listed differences: ${specCase.name}`, () => {
    const peer: RuntimeSpec = JSON.parse(readFileSync(new URL(`./recorded/${specCase.name}.json`, import.meta.url), 'utf8'));
    const ours = ourSpec(specCase, peer);
    assertParentsFirst(ours);
    assert.deepEqual(unlistedDifferences(specCase.name, flatten(ours), flatten(peer)), []);
  });
}

test('every listed difference occurs', () => {
  const unused = differences.filter(({ cases, path }) => {
    const names = cases === 'all' ? specCases.map(({ name }) => name) : cases;
    return !names.some((name) => {
      const specCase = specCases.find((each) => each.name === name);
      assert.ok(specCase, `no case ${name}`);
      const peer: RuntimeSpec = JSON.parse(readFileSync(new URL(`./recorded/${name}.json`, import.meta.url), 'utf8'));
      return changedPaths(flatten(ourSpec(specCase, peer)), flatten(peer)).some((changed) => path.test(changed));
    });
  });
  assert.deepEqual(
    unused.map(({ reason }) => reason),
    [],
  );
});

function ourSpec({ config, hostConfig }: SpecCase, peer: RuntimeSpec): RuntimeSpec {
  const merged = mergeImageConfig(defaultContainerConfig({ Image: 'peer:1', ...config }), image);
  const asked = defaultHostConfig({ NetworkMode: 'none', ...hostConfig });
  // Sharing the IPC namespace of another container is refused at create (unsupported.ts): compare the rest of the case.
  const ipc = asked.IpcMode.startsWith('container:') ? { IpcMode: '' } : {};
  return runtimeSpec({
    id: '<id>'.padEnd(64, '.') as ContainerId,
    config: { ...merged, Hostname: merged.Hostname || (peer.hostname ?? '') },
    hostConfig: { ...asked, ...ipc },
    user: resolveUser(merged.User, asked.GroupAdd ?? [], files),
    host,
    files: containerFiles(peer),
    mounts: plainMounts(asked),
    cgroupsPath: '/docker/<id>',
    // A namespace of its own comes from the network at a start; here only another container's is compared.
    joined: {
      network: asked.NetworkMode.startsWith('container:') ? '/proc/<other-pid>/ns/net' : null,
      pid: '/proc/<other-pid>/ns/pid',
      ipc: '/proc/<other-pid>/ns/ipc',
      ipcMounts: null,
    },
    findDevices: (path) => devicesOf(path, peer),
  });
}

/** Which files stand for /etc/hosts and the like is the caller's: those of the container itself or of the one whose network it joins. */
function containerFiles(peer: RuntimeSpec) {
  const source = (path: string): string => peer.mounts.find(({ destination }) => destination === path)?.source ?? '';
  return { resolvConf: source('/etc/resolv.conf'), hostname: source('/etc/hostname'), hosts: source('/etc/hosts') };
}

/** The recording host's devices, as far as the recording shows them. */
function devicesOf(path: string, peer: RuntimeSpec): readonly Device[] {
  if (path === '/dev') return peer.linux.devices ?? [];
  const known: Readonly<Record<string, Device>> = {
    '/dev/zero': { path: '/dev/zero', type: 'c', major: 1, minor: 5, fileMode: 0o666, uid: 0, gid: 0 },
    '/dev/vda': { path: '/dev/vda', type: 'b', major: 254, minor: 0, fileMode: 0o600, uid: 0, gid: 0 },
    '/dev/net': { path: '/dev/net/tun', type: 'c', major: 10, minor: 200, fileMode: 0o600, uid: 0, gid: 0 },
  };
  const device = known[path];
  return device === undefined ? [] : [device];
}

function unlistedDifferences(name: string, ours: Flat, peer: Flat): string[] {
  const listed = differences.filter(({ cases }) => cases === 'all' || cases.includes(name));
  return changedPaths(ours, peer)
    .filter((path) => !listed.some((difference) => difference.path.test(path)))
    .map((path) => `${path}: ours ${ours.get(path) ?? '(absent)'}, peer ${peer.get(path) ?? '(absent)'}`);
}

function changedPaths(ours: Flat, peer: Flat): string[] {
  return [...new Set([...ours.keys(), ...peer.keys()])].filter((path) => ours.get(path) !== peer.get(path));
}

/** A parent mounted after its child would hide it. */
function assertParentsFirst({ mounts }: RuntimeSpec): void {
  for (const [index, { destination }] of mounts.entries()) {
    const hidden = mounts.slice(0, index).find((earlier) => earlier.destination.startsWith(`${destination}/`));
    assert.equal(hidden, undefined, `${destination} would hide ${hidden?.destination}`);
  }
}

type Flat = ReadonlyMap<string, string>;

/** One line a leaf. Lists whose elements have a name are keyed by it, so that their order doesn't matter; other lists are compared as they are. */
function flatten(value: unknown): Flat {
  const flat = new Map<string, string>();
  const visit = (path: string, current: unknown): void => {
    if (Array.isArray(current)) {
      visitList(path, current);
      return;
    }
    if (typeof current !== 'object' || current === null) {
      flat.set(path, JSON.stringify(current));
      return;
    }
    for (const [key, child] of Object.entries(current)) {
      if (path === 'linux' && key === 'seccomp') flat.set('linux.seccomp', JSON.stringify(child.defaultAction));
      else visit(path === '' ? key : `${path}.${key}`, child);
    }
  };
  const visitList = (path: string, list: readonly unknown[]): void => {
    const key = listKeys[path];
    if (key === undefined) flat.set(path, JSON.stringify(list));
    else for (const element of list) visit(`${path}[${key(element)}]`, element);
  };
  visit('', value);
  return flat;
}

const listKeys: Readonly<Record<string, (element: unknown) => string>> = {
  mounts: (mount) => (mount as { destination: string }).destination,
  'linux.namespaces': (namespace) => (namespace as { type: string }).type,
  'linux.devices': (device) => (device as Device).path,
  'linux.maskedPaths': String,
  'linux.readonlyPaths': String,
  'linux.resources.devices': (rule) => JSON.stringify(Object.entries(rule as object).sort()),
  'process.rlimits': (limit) => (limit as { type: string }).type,
  'process.env': (entry) => String(entry).split('=')[0] ?? '',
  'process.capabilities.bounding': String,
  'process.capabilities.effective': String,
  'process.capabilities.permitted': String,
};
