/**
 * True ELF files without a compiler: shared objects with a SONAME and functions that return a number (by value, or through their first argument), which glibc and
 * musl load; and programs that print a text and end. For three machines, so that 32-bit libraries are there without a 32-bit compiler.
 *
 *   header, program headers, hash, dynsym, dynstr, code │ page │ dynamic
 */

export type ElfMachine = 'x86_64' | 'i386' | 'aarch64';

/** `int name(int *out) { *out = number; return 0; }`, or `int name(void) { return number; }`. */
export interface TinyFunction {
  readonly name: string;
  readonly number: number;
  readonly through: 'argument' | 'result';
}

interface Machine {
  readonly number: number;
  readonly wide: boolean;
}

const machines: Readonly<Record<ElfMachine, Machine>> = {
  x86_64: { number: 62, wide: true },
  i386: { number: 3, wide: false },
  aarch64: { number: 183, wide: true },
};

const page = 0x1000;
const [PT_LOAD, PT_DYNAMIC, PT_GNU_STACK] = [1, 2, 0x6474e551];
const [DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME] = [4, 5, 6, 10, 11, 14];
const [readable, writable, executable] = [4, 2, 1];

export function tinyLibrary(machine: ElfMachine, soname: string | null, functions: readonly TinyFunction[] = []): Buffer {
  const { number, wide } = machines[machine];
  const names = ['', ...functions.map(({ name }) => name), ...(soname === null ? [] : [soname])];
  const strings = stringTable(names);
  const codes = functions.map((each) => pad(functionCode(machine, each), 16));
  const symbolSize = wide ? 24 : 16;
  const start = headerSize(wide, 4);
  const hashAt = align(start, 8);
  const hash = words([
    1,
    names.length - (soname === null ? 0 : 1),
    functions.length === 0 ? 0 : 1,
    0,
    ...functions.map((_, at) => (at + 1 < functions.length ? at + 2 : 0)),
  ]);
  const symbolsAt = align(hashAt + hash.length, 8);
  const stringsAt = symbolsAt + symbolSize * (functions.length + 1);
  const codeAt = align(stringsAt + strings.bytes.length, 16);
  const end = codeAt + codes.reduce((sum, code) => sum + code.length, 0);
  const dynamicAt = align(end, page);
  const dynamic = addresses(wide, [
    ...(soname === null ? [] : [DT_SONAME, strings.at(soname)]),
    ...[DT_HASH, hashAt, DT_STRTAB, stringsAt, DT_SYMTAB, symbolsAt, DT_STRSZ, strings.bytes.length, DT_SYMENT, symbolSize, 0, 0],
  ]);
  const file = Buffer.alloc(dynamicAt + dynamic.length);
  header(file, { type: 3, machine: number, wide, entry: 0, segments: 4 });
  segment(file, wide, 0, { type: PT_LOAD, flags: readable | executable, at: 0, size: end, alignment: page });
  segment(file, wide, 1, { type: PT_LOAD, flags: readable | writable, at: dynamicAt, size: dynamic.length, alignment: page });
  segment(file, wide, 2, { type: PT_DYNAMIC, flags: readable | writable, at: dynamicAt, size: dynamic.length, alignment: 8 });
  segment(file, wide, 3, { type: PT_GNU_STACK, flags: readable | writable, at: 0, size: 0, alignment: 16 });
  hash.copy(file, hashAt);
  strings.bytes.copy(file, stringsAt);
  let at = codeAt;
  for (const [index, code] of codes.entries()) {
    code.copy(file, at);
    symbol(file, wide, symbolsAt + symbolSize * (index + 1), strings.at(functions[index]?.name ?? ''), at, code.length);
    at += code.length;
  }
  dynamic.copy(file, dynamicAt);
  return file;
}

/** A static program that prints `text` on its standard output and ends with 0. */
export function tinyProgram(machine: 'x86_64' | 'aarch64', text: string): Buffer {
  const { number } = machines[machine];
  const base = 0x400000;
  const message = Buffer.from(text);
  const codeAt = align(headerSize(true, 2), 16);
  const textAt = codeAt + 64;
  const file = Buffer.alloc(textAt + message.length);
  header(file, { type: 2, machine: number, wide: true, entry: base + codeAt, segments: 2 });
  segment(file, true, 0, { type: PT_LOAD, flags: readable | executable, at: 0, size: file.length, alignment: page, base });
  segment(file, true, 1, { type: PT_GNU_STACK, flags: readable | writable, at: 0, size: 0, alignment: 16 });
  printCode(machine, base + textAt, message.length).copy(file, codeAt);
  message.copy(file, textAt);
  return file;
}

function printCode(machine: 'x86_64' | 'aarch64', address: number, length: number): Buffer {
  if (machine === 'x86_64') {
    // mov eax,1; mov edi,1; mov esi,address; mov edx,length; syscall; mov eax,60; xor edi,edi; syscall
    return Buffer.concat([hex('b801000000bf01000000be'), words([address]), hex('ba'), words([length]), hex('0f05b83c00000031ff0f05')]);
  }
  // x0=1, x1=address, x2=length, x8=64 (write), svc; x0=0, x8=93 (exit), svc
  return words([move(0, 1), ...moveWide(1, address), ...moveWide(2, length), move(8, 64), 0xd4000001, move(0, 0), move(8, 93), 0xd4000001]);
}

function functionCode(machine: ElfMachine, { number, through }: TinyFunction): Buffer {
  if (machine === 'aarch64') {
    const result = 0xd65f03c0;
    if (through === 'result') return words([...moveWide(0, number), result]);
    // str w1, [x0]
    return words([...moveWide(1, number), 0xb9000001, move(0, 0), result]);
  }
  if (through === 'result') return Buffer.concat([hex('b8'), words([number]), hex('c3')]);
  // mov dword [rdi], number; xor eax,eax; ret. With 32 bits the argument is on the stack: mov eax,[esp+4] first.
  return Buffer.concat([hex(machine === 'x86_64' ? 'c707' : '8b442404c700'), words([number]), hex('31c0c3')]);
}

const move = (register: number, value: number): number => (0xd2800000 | (value << 5) | register) >>> 0;
const moveWide = (register: number, value: number): number[] => [
  move(register, value & 0xffff),
  (0xf2a00000 | ((value >>> 16) << 5) | register) >>> 0,
];

interface Header {
  readonly type: number;
  readonly machine: number;
  readonly wide: boolean;
  readonly entry: number;
  readonly segments: number;
}

function header(file: Buffer, { type, machine, wide, entry, segments }: Header): void {
  hex(`7f454c46${wide ? '02' : '01'}0101`).copy(file);
  file.writeUInt16LE(type, 16);
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(1, 20);
  const size = wide ? 64 : 52;
  if (wide) {
    file.writeBigUInt64LE(BigInt(entry), 24);
    file.writeBigUInt64LE(BigInt(size), 32);
  } else {
    file.writeUInt32LE(entry, 24);
    file.writeUInt32LE(size, 28);
  }
  const rest = wide ? 52 : 40;
  file.writeUInt16LE(size, rest);
  file.writeUInt16LE(wide ? 56 : 32, rest + 2);
  file.writeUInt16LE(segments, rest + 4);
  file.writeUInt16LE(wide ? 64 : 40, rest + 6);
}

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly at: number;
  readonly size: number;
  readonly alignment: number;
  readonly base?: number;
}

function segment(file: Buffer, wide: boolean, index: number, { type, flags, at, size, alignment, base = 0 }: Segment): void {
  const place = (wide ? 64 : 52) + index * (wide ? 56 : 32);
  const numbers = [at, base + at, base + at, size, size];
  file.writeUInt32LE(type, place);
  if (wide) {
    file.writeUInt32LE(flags, place + 4);
    addresses(true, [...numbers, alignment]).copy(file, place + 8);
  } else {
    words([...numbers, flags, alignment]).copy(file, place + 4);
  }
}

function symbol(file: Buffer, wide: boolean, place: number, name: number, at: number, size: number): void {
  // Global function, in some section.
  const info = hex('12000100');
  file.writeUInt32LE(name, place);
  if (wide) {
    info.copy(file, place + 4);
    addresses(true, [at, size]).copy(file, place + 8);
  } else {
    words([at, size]).copy(file, place + 4);
    info.copy(file, place + 12);
  }
}

function stringTable(names: readonly string[]): { readonly bytes: Buffer; readonly at: (name: string) => number } {
  const places = new Map<string, number>();
  let length = 0;
  for (const name of names) {
    if (places.has(name)) continue;
    places.set(name, length);
    length += Buffer.byteLength(name) + 1;
  }
  return { bytes: Buffer.from([...places.keys()].map((name) => `${name}\0`).join('')), at: (name) => places.get(name) ?? 0 };
}

const headerSize = (wide: boolean, segments: number): number => (wide ? 64 + 56 * segments : 52 + 32 * segments);
const align = (value: number, to: number): number => Math.ceil(value / to) * to;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const pad = (bytes: Buffer, to: number): Buffer => Buffer.concat([bytes, Buffer.alloc(align(bytes.length, to) - bytes.length)]);
const words = (numbers: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [index, number] of numbers.entries()) bytes.writeUInt32LE(number >>> 0, index * 4);
  return bytes;
};
const addresses = (wide: boolean, numbers: readonly number[]): Buffer => {
  if (!wide) return words(numbers);
  const bytes = Buffer.alloc(numbers.length * 8);
  for (const [index, number] of numbers.entries()) bytes.writeBigUInt64LE(BigInt(number), index * 8);
  return bytes;
};
