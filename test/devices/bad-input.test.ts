/**
 * Wishes for devices that cannot be met, as a person meets them, by `gantry run` and by the docker command line: a message with the cause and what to do, exit status 125, no
 * container, nothing held and nothing left behind. On a fake machine whose driver changes. Needs root, the docker client and busybox-static.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type CommandResult, runCommand } from '../harness/command.ts';
import type { FakeDriverOptions } from '../harness/fake-driver/options.ts';
import { makeFakeDriver } from '../harness/fake-driver.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { programEntry } from '../harness/program.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

/** Two GPUs, the second divided in two. */
const machines = {
  whole: { gpus: 2, mig: { 1: [{}, {}] }, driverVersion: '580.159.04' },
  'old libraries': { driverVersion: '580.159.04', libraryVersion: '570.124.06' },
  'no libraries': { without: ['libraries'] },
  'no driver': { without: ['module'] },
  nouveau: { without: ['nouveau'] },
  'no GPU': { without: ['hardware'] },
} satisfies Record<string, FakeDriverOptions>;
type MachineName = keyof typeof machines;

interface BadWish {
  readonly args: readonly string[];
  readonly message: RegExp;
  /** By `gantry run` too. */
  readonly both?: true;
}

const description = (name: string, edits: object) => ({
  cdiVersion: '0.6.0',
  kind: `vendor.com/${name}`,
  devices: [{ name: 'one', containerEdits: edits }],
});

const descriptions: Readonly<Record<string, string>> = {
  'good.json': JSON.stringify(description('camera', { env: ['CAMERA=1'] })),
  'no-json.json': '{"cdiVersion": "0.6.0", "kind": ',
  'no-yaml.yaml': 'kind: [unclosed\n',
  'wrong-field.json': JSON.stringify(description('wrong', { deviceNode: [] })),
  'wrong-value.yaml': 'cdiVersion: "0.6.0"\nkind: vendor.com/value\ndevices:\n- name: one\n  containerEdits:\n    env: [NOVALUE]\n',
  'too-new.json': JSON.stringify({ ...description('new', {}), cdiVersion: '9.0.0' }),
  'vanished.json': JSON.stringify(description('vanished', { deviceNodes: [{ path: '/dev/vanished' }] })),
  'no-node.json': JSON.stringify(description('file', { deviceNodes: [{ path: '/etc/hostname' }] })),
  'no-mount.json': JSON.stringify(description('mount', { mounts: [{ hostPath: '/lib/vanished.so', containerPath: '/lib/x.so' }] })),
  'no-hook.json': JSON.stringify(description('hook', { hooks: [{ hookName: 'createContainer', path: '/usr/bin/vanished-hook' }] })),
};

const gpus = (text: string) => ['--gpus', text];
const device = (name: string) => ['--device', name];
const variable = (text: string) => ['--gpus', 'all', '--env', text];

const ofWholeMachine: readonly BadWish[] = [
  {
    both: true,
    args: gpus('3'),
    message: /3 GPUs were asked for, but this machine has GPU 0 \(NVIDIA .*, GPU-.*\), GPU 1 .*\. Ask for fewer, or for all/,
  },
  {
    both: true,
    args: gpus('device=7'),
    message: /there is no GPU "7": this machine has GPU 0 \(NVIDIA .*, GPU-.*\), GPU 1 .*, part 1:0 .*, part 1:1/,
  },
  { args: gpus('device=GPU-ffff'), message: /there is no GPU "GPU-ffff": this machine has GPU 0/ },
  { args: gpus('device=GPU-6b'), message: /the GPU "GPU-6b" is ambiguous: it may be GPU 0 .* or GPU 1 .*\. Give more of the UUID/ },
  { args: gpus('device=0:0'), message: /there is no GPU "0:0": GPU 0 .* is not divided\. Divide it \(nvidia-smi mig\), or ask for "0"/ },
  { args: gpus('device=1:2'), message: /there is no GPU "1:2": GPU 1 .* has part 1:0 .*, part 1:1/ },
  { args: gpus('"count=1","device=0"'), message: /cannot set both Count and DeviceIDs on device request/ },
  { args: gpus('driver=amd,count=1'), message: /could not select device driver "amd" with capabilities: \[\[gpu\]\]: .*AMD GPU/ },
  {
    args: gpus('driver=nvidea,count=1'),
    message: /could not select device driver "nvidea" .*: there is no driver "nvidea"; there are nvidia, amd, intel, and cdi/,
  },
  {
    args: gpus('all,capabilities=tpu'),
    message: /could not select device driver "" with capabilities: \[\[.*tpu.*\]\]: nothing has "tpu"; there are gpu, nvidia, compute, /,
  },
  {
    args: gpus('count=1,options=exclusiv=true'),
    message: /unknown option "exclusiv" of a device request: did you mean "exclusive"\?/,
  },
  {
    args: variable('NVIDIA_DRIVER_CAPABILITIES=compute,cuda'),
    message: /NVIDIA_DRIVER_CAPABILITIES names "cuda", .* it may name all, or compute, utility/,
  },
  {
    args: variable('NVIDIA_REQUIRE_CUDA=driver>=999'),
    message: /unsatisfied condition: driver>=999 .* the driver 580\.159\.04.* Update .* NVIDIA_DISABLE_REQUIRE=1/,
  },
  {
    args: variable('NVIDIA_REQUIRE_CUDA=newest'),
    message: /NVIDIA_REQUIRE_CUDA has the condition "newest", which is none: write cuda>=12\.1/,
  },
  {
    both: true,
    args: ['--runtime', 'nvidia', '--env', 'NVIDIA_VISIBLE_DEVICES=0,7'],
    message: /there is no GPU "7": this machine has GPU 0/,
  },
  { args: ['--runtime', 'nvidea'], message: /unknown or invalid runtime name: nvidea/ },
  { both: true, args: device('nvidia.com/gpu=7'), message: /unresolvable CDI devices nvidia\.com\/gpu=7; did you mean nvidia\.com\/gpu=/ },
  {
    args: device('vendor.com/camera=on'),
    message: /unresolvable CDI devices vendor\.com\/camera=on; did you mean vendor\.com\/camera=one\?/,
  },
  { args: device('vendor.com/wrong=one'), message: /unresolvable .*wrong=one.*descriptions are read from .*\/cdi; .*\.(json|yaml)/ },
  {
    both: true,
    args: device('vendor.com/vanished=one'),
    message: /the device node \/dev\/vanished named by .*vanished\.json is not there: .*write .*vanished\.json anew/,
  },
  { args: device('vendor.com/file=one'), message: /\/etc\/hostname named by .*no-node\.json is not a device node: correct its path there/ },
  { args: device('vendor.com/mount=one'), message: /\/lib\/vanished\.so, which .*no-mount\.json mounts, is not there/ },
  {
    args: device('vendor.com/hook=one'),
    message: /the hook \/usr\/bin\/vanished-hook of .*no-hook\.json is not there: install the program/,
  },
];

const ofOtherMachines: readonly (BadWish & { readonly machine: MachineName })[] = [
  {
    both: true,
    machine: 'old libraries',
    args: gpus('all'),
    message: /the NVIDIA kernel module is 580\.159\.04, the driver's libraries are 570\.124\.06: .* restart the machine, or/,
  },
  {
    machine: 'old libraries',
    args: device('nvidia.com/gpu=0'),
    message: /the NVIDIA kernel module is 580\.159\.04, .* restart the machine/,
  },
  {
    machine: 'no libraries',
    args: gpus('1'),
    message: /its libraries \(libcuda\.so\..*\) are not found.* or say where they are with --driver-root/,
  },
  {
    both: true,
    machine: 'no driver',
    args: gpus('all'),
    message:
      /could not select device driver "" with capabilities: \[\[gpu\]\]: .*has no driver .*install NVIDIA's driver, or load it with modprobe nvidia/,
  },
  { machine: 'nouveau', args: gpus('all'), message: /\[\[gpu\]\]: .* has the driver nouveau, .*: install NVIDIA's driver and restart/ },
  { machine: 'no GPU', args: gpus('all'), message: /\[\[gpu\]\]: no NVIDIA driver is loaded .*, and no NVIDIA GPU is on the PCI bus/ },
  { machine: 'no GPU', args: device('nvidia.com/gpu=0'), message: /unresolvable CDI devices nvidia\.com\/gpu=0/ },
];

suite('wishes for devices that cannot be met', { skip, timeout: 600_000 }, () => {
  let directory: string;
  let daemon: GantryDaemon;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-bad-devices-'));
    for (const [name, options] of Object.entries(machines)) makeFakeDriver(join(directory, name), options);
    turnInto('whole');
    const cdi = join(directory, 'cdi');
    mkdirSync(cdi);
    for (const [name, text] of Object.entries(descriptions)) writeFileSync(join(cdi, name), text);
    const machine = join(directory, 'machine');
    daemon = await startGantry({ flags: ['--device-root', machine, '--driver-root', machine, '--cdi-spec-dir', cdi] });
    assert.equal((await docker('pull', '-q', 'busybox')).status, 0);
  });

  after(async () => {
    await daemon?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const wish of ofWholeMachine) test(wish.args.join(' '), async () => refused(wish));

  for (const wish of ofOtherMachines) {
    test(`${wish.machine}: ${wish.args.join(' ')}`, async () => {
      turnInto(wish.machine);
      try {
        await refused(wish);
      } finally {
        turnInto('whole');
      }
    });
  }

  test('files that cannot be used are told with their field, and hide nothing else', async () => {
    const listed = await gantry('device', 'ls');
    assert.equal(listed.status, 0, listed.stderr);
    assert.match(listed.stdout, /vendor\.com\/camera=one/);
    const told = listed.stdout + listed.stderr;
    for (const problem of [
      /^WARNING: \S+no-json\.json: Flow map must end with a \}/m,
      /no-yaml\.yaml: /,
      /wrong-field\.json: devices\[0\]\.containerEdits\.deviceNode: there is no such field: did you mean deviceNodes\?/,
      /wrong-value\.yaml: devices\[0\]\.containerEdits\.env\[0\]: /,
      /too-new\.json: cdiVersion: /,
    ]) {
      assert.match(told, problem);
    }
    const given = await docker(
      'run',
      '--rm',
      '--network',
      'none',
      '--device',
      'vendor.com/camera=one',
      'busybox',
      'sh',
      '-c',
      'echo $CAMERA',
    );
    assert.deepEqual([given.stdout, given.stderr], ['1\n', '']);
  });

  test('nothing is left of all that', async () => {
    assert.equal((await docker('ps', '-aq')).stdout, '');
    assert.deepEqual(readdirSync(join(daemon.dataRoot, 'containers')), []);
    const exclusive = await gantry(
      'run',
      '--rm',
      '--network',
      'none',
      '--gpus',
      'all,exclusive',
      'busybox',
      'sh',
      '-c',
      'echo $NVIDIA_VISIBLE_DEVICES',
    );
    assert.deepEqual([exclusive.stdout, exclusive.stderr], ['all\n', '']);
  });

  async function refused({ args, message, both }: BadWish): Promise<void> {
    const command = ['run', '--rm', '--network', 'none', ...args, 'busybox', 'true'];
    const clients = both ? [docker, gantry] : [docker];
    const results = await Promise.all(clients.map((client) => client(...command)));
    for (const { status, stderr } of results) {
      assert.match(stderr, message);
      assert.equal(status, 125, stderr);
      assert.doesNotMatch(stderr, /undefined|\[object|\n {4}at /);
    }
  }

  /** In one step: a daemon sees one machine or the other. */
  function turnInto(machine: MachineName): void {
    const next = join(directory, 'next');
    symlinkSync(join(directory, machine), next);
    renameSync(next, join(directory, 'machine'));
  }

  function docker(...args: readonly string[]): Promise<CommandResult> {
    return runCommand(['docker', '-H', daemon.host, ...args]);
  }

  function gantry(...args: readonly string[]): Promise<CommandResult> {
    return runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);
  }
});
