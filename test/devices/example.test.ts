/**
 * examples/deep-learning, built and run as its README says, without a network and without a GPU: on the processor, and through CUDA's driver library, in whose place a library stands that carries
 * out the example's PTX itself. Needs root, mmdebstrap, a C compiler, and once a checkout Debian's and Python's package registries.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { programEntry } from '../harness/program.ts';
import { makeComputingDriver } from './computing-driver.ts';
import { offlineCuda } from './offline-cuda.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const example = fileURLToPath(new URL('../../examples/deep-learning', import.meta.url));
const endless = ['--epochs', '1000000'] as const;

suite('examples/deep-learning', { skip, timeout: 900_000 }, () => {
  let directory: string;
  let daemon: GantryDaemon;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-example-'));
    const base = await offlineCuda();
    const driver = await makeComputingDriver(join(directory, 'machine'));
    daemon = await startGantry({ flags: ['--device-root', driver.root, '--driver-root', driver.root] });
    await gantry('import', base, 'nvidia/cuda:12.1-cudnn8-runtime-ubuntu22.04');
    await gantry('build', '--network', 'none', '-t', 'my-dl-image', example);
  });

  after(async () => {
    await daemon?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  test('trains on the processor, its arguments appended to the entrypoint; the checkpoint is in the volume, and a second run goes on from it to the same numbers', async () => {
    const whole = await trained('whole', '--epochs', '6', '--device', 'cpu');
    assert.match(whole, /made a data set of 1000 points: \/data\/moons\.csv\ndevice: cpu \(numpy 1\.26\.4\)/);
    assert.match(whole, /epoch 6\/6: loss 0\.\d+, accuracy (8|9)\d\.\d%\ntrained 6 epochs: .* \/checkpoints\/last\.npz\n$/);
    assert.match(await trained('parts', '--epochs', '3', '--device', 'cpu'), /trained 3 epochs/);
    assert.ok(existsSync(join(await mountpoint('parts'), 'last.npz')));
    const rest = await trained('parts', '--epochs', '6', '--device', 'cpu');
    assert.match(rest, /^continuing \/checkpoints\/last\.npz after epoch 3\n/);
    assert.equal(lastLine(rest), lastLine(whole));
  });

  test('metrics answer on the published port; stop leaves a checkpoint and is a success; a start goes on from it', async () => {
    await gantry(
      'run',
      '-d',
      '--name',
      'live',
      '-p',
      '127.0.0.1::8000',
      '-v',
      'live:/checkpoints',
      'my-dl-image',
      ...endless,
      '--checkpoint-every',
      '1000000',
    );
    const address = (await gantry('port', 'live', '8000')).trim();
    const early = await epochOf(address, 1);
    assert.ok((await epochOf(address, early + 1)) > early, 'it goes on while it is asked');
    assert.match(await (await fetch(`http://${address}/`)).text(), /<h1>Epoch \d+ of 1000000<\/h1>.*<polyline/s);
    await gantry('stop', '-t', '60', 'live');
    assert.equal((await gantry('inspect', '-f', '{{.State.ExitCode}}', 'live')).trim(), '0');
    const stopped = /stopped in epoch (\d+) of 1000000; \/checkpoints\/last\.npz continues it\n$/.exec(await gantry('logs', 'live'));
    assert.ok(existsSync(join(await mountpoint('live'), 'last.npz')));
    await gantry('start', 'live');
    assert.ok((await epochOf((await gantry('port', 'live', '8000')).trim(), 1)) >= Number(stopped?.[1]) - 1);
    await gantry('rm', '-f', 'live');
  });

  test('a kill at any moment leaves the last whole checkpoint', async () => {
    await gantry(
      'run',
      '-d',
      '--name',
      'killed',
      '-v',
      'killed:/checkpoints',
      'my-dl-image',
      ...endless,
      '--checkpoint-every',
      '1',
      '--port',
      '0',
    );
    const file = join(await mountpoint('killed'), 'last.npz');
    for (let tries = 0; !existsSync(file); tries++) {
      assert.ok(tries < 1200, 'no checkpoint in two minutes');
      await delay(100);
    }
    await gantry('kill', 'killed');
    await gantry('rm', 'killed');
    assert.match(await trained('killed', '--epochs', '1', '--device', 'cpu'), /^continuing \/checkpoints\/last\.npz after epoch \d+$/m);
  });

  test("--gpus: it trains through CUDA's driver and comes to the processor's numbers; without, it says what is missing", async () => {
    const [byCuda, byProcessor] = await Promise.all([
      gantry('run', '--rm', '--network', 'none', '--gpus', 'all', 'my-dl-image', '--epochs', '3'),
      gantry('run', '--rm', '--network', 'none', 'my-dl-image', '--epochs', '3'),
    ]);
    assert.match(byCuda, /device: cuda 12\.2 on Fake GPU 0, the first of 1, because PyTorch is not installed\n/);
    assert.match(
      byProcessor,
      /device: cpu .*, because PyTorch is not installed and CUDA's driver cannot be loaded \(libcuda\.so\.1: .*--gpus\)\n/,
    );
    assert.ok(Math.abs(lossOf(byCuda) - lossOf(byProcessor)) < 0.001, `${byCuda}${byProcessor}`);
    const refused = await run('run', '--rm', '--network', 'none', 'my-dl-image', '--device', 'cuda');
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^train\.py: CUDA's driver cannot be loaded .*a container gets it with --gpus/);
  });

  /** Data and checkpoints in volumes; what it printed. */
  function trained(volume: string, ...args: readonly string[]): Promise<string> {
    const volumes = ['-v', `${volume}-data:/data`, '-v', `${volume}:/checkpoints`] as const;
    return gantry('run', '--rm', '--network', 'none', ...volumes, 'my-dl-image', ...args);
  }

  async function mountpoint(volume: string): Promise<string> {
    return (await gantry('volume', 'inspect', '-f', '{{.Mountpoint}}', volume)).trim();
  }

  function run(...args: readonly string[]): Promise<CommandResult> {
    return runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args], { timeoutMs: 300_000 });
  }

  async function gantry(...args: readonly string[]): Promise<string> {
    const result = await run(...args);
    assert.equal(result.status, 0, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  }
});

/** Once it is that far. */
async function epochOf(address: string, atLeast: number): Promise<number> {
  for (let tries = 0; tries < 600; tries++) {
    const text = await fetch(`http://${address}/metrics`).then(
      (answer) => answer.text(),
      () => '',
    );
    const epoch = Number(/^training_epoch (\d+)$/m.exec(text)?.[1] ?? -1);
    if (epoch >= atLeast) {
      assert.match(text, /^training_info\{device="cpu .*"\} 1$/m);
      return epoch;
    }
    await delay(100);
  }
  throw new Error(`no epoch ${atLeast} after a minute`);
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1) ?? '';
}

function lossOf(text: string): number {
  const loss = Number(/^trained .*: loss ([\d.]+),/m.exec(text)?.[1]);
  assert.ok(loss > 0, text);
  return loss;
}
