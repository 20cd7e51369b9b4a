/** `gantry device generate`: the description of this machine's GPUs that discovery makes, as a file for other engines (Podman, Docker, containerd). Needs no daemon. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { errorText, hasErrnoCode, invalid } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import { amdVendor } from '../../devices/amd/amd-vendor.ts';
import { printCdiSpec } from '../../devices/cdi/print-cdi-spec.ts';
import { createDevices } from '../../devices/create-devices.ts';
import type { DeviceSettings, Devices } from '../../devices/devices.ts';
import type { GpuMaker } from '../../devices/gpu-vendor.ts';
import { intelVendor } from '../../devices/intel/intel-vendor.ts';
import { nvidiaVendor } from '../../devices/nvidia/nvidia-vendor.ts';
import { createGpuReadings } from '../../devices/nvml/create-gpu-readings.ts';
import { deviceOptions } from '../device-options.ts';
import type { ToolCommand } from '../tool-command.ts';
import type { ToolFlags } from '../tool-flags.ts';
import { ownProgram } from './own-program.ts';

const makers: readonly GpuMaker[] = ['nvidia', 'amd', 'intel'];
const formats = ['yaml', 'json'] as const;

export const generateCommand: ToolCommand = {
  name: 'generate',
  summary: 'Describe the GPUs of this machine for other engines, as CDI has it',
  usage: '[OPTIONS]',
  flags: [
    { name: 'maker', kind: 'text', help: `${makers.join(', ')} (the first of them that has GPUs here)` },
    { name: 'output', kind: 'text', help: 'file, as /etc/cdi/nvidia.yaml (standard output)' },
    { name: 'format', kind: 'text', help: 'yaml or json (json where the output ends in .json, else yaml)' },
    { name: 'driver-root', kind: 'text', help: 'where the libraries and programs of drivers are (/)' },
    { name: 'device-root', kind: 'text', help: 'whose /dev, /proc and /sys tell which GPUs there are (/)' },
  ],
  more: 'The hooks in it call this program. Gantry itself needs no such file: it finds the GPUs at every start.\n',
  async run(flags) {
    const [maker, format, output] = [makerOf(flags), formatOf(flags), flags.text('output')];
    await using devices = discovery(flags);
    const description = await printCdiSpec(await devices.describe(maker), format);
    const { problems } = await devices.list();
    if (output === null) process.stdout.write(description);
    else await writeWhole(output, description);
    for (const { source, text } of problems) process.stderr.write(`WARNING: ${source}: ${text}\n`);
    return 0;
  },
};

function makerOf(flags: ToolFlags): GpuMaker | null {
  const asked = flags.text('maker');
  const maker = makers.find((name) => name === asked) ?? null;
  if (asked !== null && maker === null) throw invalid(`--maker ${JSON.stringify(asked)} is not known: there are ${makers.join(', ')}`);
  return maker;
}

function formatOf(flags: ToolFlags): 'yaml' | 'json' {
  const asked = flags.text('format') ?? (extname(flags.text('output') ?? '') === '.json' ? 'json' : 'yaml');
  const format = formats.find((name) => name === asked);
  if (format === undefined) throw invalid(`--format ${JSON.stringify(asked)} is not known: there are ${formats.join(', ')}`);
  return format;
}

/** As the daemon's, but for files of descriptions, and for the program in hooks. */
function discovery(flags: ToolFlags): Pick<Devices, 'describe' | 'list'> & AsyncDisposable {
  const roots = ['driver-root', 'device-root'].map((name) => [name, flags.list(name)] as const);
  const settings: DeviceSettings = deviceOptions(new Map([...roots, ['cdi-spec-dir', ['']]]));
  const { deviceRoot, driverRoot } = settings;
  const readings = createGpuReadings({ driverRoot, logger: silentLogger });
  const vendors = [
    nvidiaVendor({ deviceRoot, driverRoot, readings, program: ownProgram() }),
    amdVendor({ deviceRoot }),
    intelVendor({ deviceRoot }),
  ];
  const devices = createDevices(settings, { vendors, readings });
  return {
    describe: (maker) => devices.describe(maker),
    list: () => devices.list(),
    [Symbol.asyncDispose]: () => readings.close(),
  };
}

/** Whoever watches the directory finds the old file or the whole new one. `/etc/cdi` is made; a longer path that is not there is a mistake. */
async function writeWhole(path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.new`;
  try {
    await makeDirectory(dirname(path));
    await using file = await open(temporary, 'wx', 0o644);
    await file.writeFile(content);
    await file.sync();
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw invalid(`the description cannot be written to ${path}: ${errorText(thrown)}`, { cause: thrown });
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, 0o755);
  } catch (thrown) {
    if (!hasErrnoCode(thrown, 'EEXIST')) throw thrown;
  }
}
