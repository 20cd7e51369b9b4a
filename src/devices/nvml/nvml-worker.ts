/**
 * Entry of the process that calls NVML; its arguments are the library and the process that started it. One question after the other: while a call hangs, nothing here
 * happens, and whoever asked ends the process.
 */
import { errorText } from '../../base/errors.ts';
import { Nvml } from '../../linux/nvml.ts';
import { NvmlCalls } from '../../linux/nvml-calls.ts';
import { dieWithParent } from '../../linux/parent-death.ts';
import type { NvmlQuestion, NvmlReply } from './nvml-protocol.ts';
import { readInventory, readUsage } from './read-gpus.ts';

const [library = '', parent = '0'] = process.argv.slice(2);
let calls: NvmlCalls | null = null;
let nvml: Nvml | null = null;

dieWithParent(Number(parent));
process.title = 'gantry-nvml';
process.on('disconnect', end);
process.on('message', (question: NvmlQuestion) => {
  if (question.ask === 'end') end();
  else process.send?.(answer(question));
});

function answer({ id, ask }: Extract<NvmlQuestion, { id: number }>): NvmlReply {
  try {
    calls ??= new NvmlCalls(library);
  } catch (error) {
    return { id, ok: false, error: errorText(error), stage: 'library' };
  }
  try {
    nvml ??= new Nvml(calls);
    return { id, ok: true, value: ask === 'inventory' ? readInventory(nvml) : readUsage(nvml) };
  } catch (error) {
    return { id, ok: false, error: errorText(error), stage: 'call' };
  }
}

function end(): void {
  nvml?.shutdown();
  process.exit(0);
}
