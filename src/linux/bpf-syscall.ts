/** bpf(2), as far as device filters of cgroup v2 need it: load a program, attach it to a cgroup in place of the one before. */
import { closeSync, constants, openSync } from 'node:fs';
import { arch } from 'node:os';
import { bind, checked } from './ffi.ts';

const syscallNumber = arch() === 'arm64' ? 280 : 321;
const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_GET_FD_BY_ID = 13;
const BPF_PROG_QUERY = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
const BPF_F_ALLOW_MULTI = 2;
const BPF_F_REPLACE = 4;
/** The kernel's limit per cgroup and type. */
const maximumAttached = 64;

const syscall = bind('syscall', 'long', ['long', 'int', 'void *', 'uint']);
const memmove = bind('memmove', 'uint64_t', ['void *', 'void *', 'size_t']);

/** Puts the program (`struct bpf_insn[]`) in charge of the devices of the cgroup2 directory. It stays as long as the cgroup does. */
export function attachDeviceProgram(directory: string, program: Uint8Array<ArrayBuffer>): void {
  const cgroup = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const loaded = loadDeviceProgram(program, directory);
    try {
      replaceAttached(cgroup, loaded, directory);
    } finally {
      closeSync(loaded);
    }
  } finally {
    closeSync(cgroup);
  }
}

function loadDeviceProgram(program: Uint8Array<ArrayBuffer>, directory: string): number {
  const license = new TextEncoder().encode('Apache-2.0\0');
  // { u32 prog_type; u32 insn_cnt; u64 insns; u64 license; u32 log_level; … }
  const attributes = new DataView(new ArrayBuffer(64));
  attributes.setUint32(0, BPF_PROG_TYPE_CGROUP_DEVICE, true);
  attributes.setUint32(4, program.length / 8, true);
  attributes.setBigUint64(8, addressOf(program), true);
  attributes.setBigUint64(16, addressOf(license), true);
  return bpf(BPF_PROG_LOAD, attributes, `of the device filter for ${directory}`);
}

/** Programs attached side by side all have to agree, so an older one of ours must go in the same step. */
function replaceAttached(cgroup: number, loaded: number, directory: string): void {
  const old = attachedPrograms(cgroup, directory);
  const [first] = old;
  const replaced = old.length === 1 && first !== undefined ? openProgram(first, directory) : null;
  // { u32 target_fd; u32 attach_bpf_fd; u32 attach_type; u32 attach_flags; u32 replace_bpf_fd }
  const attributes = new DataView(new ArrayBuffer(64));
  attributes.setUint32(0, cgroup, true);
  attributes.setUint32(4, loaded, true);
  attributes.setUint32(8, BPF_CGROUP_DEVICE, true);
  attributes.setUint32(12, BPF_F_ALLOW_MULTI | (replaced === null ? 0 : BPF_F_REPLACE), true);
  attributes.setUint32(16, replaced ?? 0, true);
  try {
    bpf(BPF_PROG_ATTACH, attributes, `of the device filter to ${directory}`);
  } finally {
    if (replaced !== null) closeSync(replaced);
  }
}

function attachedPrograms(cgroup: number, directory: string): readonly number[] {
  const ids = new Uint32Array(maximumAttached);
  // { u32 target_fd; u32 attach_type; u32 query_flags; u32 attach_flags; u64 prog_ids; u32 prog_cnt }
  const attributes = new DataView(new ArrayBuffer(64));
  attributes.setUint32(0, cgroup, true);
  attributes.setUint32(4, BPF_CGROUP_DEVICE, true);
  attributes.setBigUint64(16, addressOf(new Uint8Array(ids.buffer)), true);
  attributes.setUint32(24, ids.length, true);
  bpf(BPF_PROG_QUERY, attributes, `for the device filters of ${directory}`);
  return [...ids.subarray(0, attributes.getUint32(24, true))];
}

function openProgram(id: number, directory: string): number {
  const attributes = new DataView(new ArrayBuffer(64));
  attributes.setUint32(0, id, true);
  return bpf(BPF_PROG_GET_FD_BY_ID, attributes, `of the old device filter of ${directory}`);
}

function bpf(command: number, attributes: DataView<ArrayBuffer>, what: string): number {
  const bytes = new Uint8Array(attributes.buffer);
  return checked(syscall(syscallNumber, command, bytes, bytes.length), `bpf(${command})`, what);
}

/** The caller keeps `bytes` alive until the kernel has read them. memmove returns its first argument and here moves nothing. */
function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return BigInt(memmove(bytes, bytes, 0));
}
