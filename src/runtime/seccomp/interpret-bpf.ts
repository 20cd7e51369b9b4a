/** Runs a classic BPF program on one system call, as the kernel would: for tests, and to explain a verdict. Knows the instructions that `BpfProgram` emits. */
import { invalid } from '../../base/errors.ts';
import { opcodes } from './bpf-program.ts';

export interface SyscallData {
  readonly nr: number;
  readonly arch: number;
  /** Up to six registers. */
  readonly args: readonly (number | bigint)[];
}

/** Returns the filter's answer, unsigned. */
export function interpretBpf(program: Uint8Array, data: SyscallData): number {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const memory = seccompData(data);
  const count = program.byteLength / 8;
  let accumulator = 0;
  for (let at = 0; at < count; at++) {
    const code = view.getUint16(at * 8, true);
    const k = view.getUint32(at * 8 + 4, true);
    const jump = (taken: boolean): void => {
      at += view.getUint8(at * 8 + (taken ? 2 : 3));
    };
    if (code === opcodes.return) return k;
    if (code === opcodes.load) accumulator = memory.getUint32(k, true);
    else if (code === opcodes.and) accumulator = (accumulator & k) >>> 0;
    else if (code === opcodes.jump) at += k;
    else if (code === opcodes.jumpEqual) jump(accumulator === k);
    else if (code === opcodes.jumpGreater) jump(accumulator > k);
    else if (code === opcodes.jumpGreaterOrEqual) jump(accumulator >= k);
    else throw invalid(`Instruction ${at} of the BPF program has code 0x${code.toString(16)}, which is not known here.`);
  }
  throw invalid(`The BPF program of ${count} instructions ends without an answer.`);
}

/** struct seccomp_data { int nr; u32 arch; u64 instruction_pointer; u64 args[6] } */
function seccompData(data: SyscallData): DataView {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, data.nr >>> 0, true);
  view.setUint32(4, data.arch, true);
  data.args.forEach((argument, index) => {
    view.setBigUint64(16 + index * 8, BigInt.asUintN(64, BigInt(argument)), true);
  });
  return view;
}
