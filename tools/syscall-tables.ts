/**
 * Generates `src/runtime/seccomp/syscall-numbers.ts` from Debian's kernel headers:
 *
 *   node tools/syscall-tables.ts          # writes the file
 *
 * Needs a C preprocessor, linux-libc-dev (x86) and apt, which fetches the header packages of arm and arm64 into a temporary
 * directory without installing them. System calls newer than those headers come from `newerNumbers` below.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const target = join(import.meta.dirname, '../src/runtime/seccomp/syscall-numbers.ts');

type Abi = 'x86_64' | 'x86' | 'x32' | 'aarch64' | 'arm';
type Numbers = Map<string, number>;

/** Added to Linux after 6.1, the same number in every architecture. */
const newerNumbers: Readonly<Record<string, number>> = {
  cachestat: 451, // 6.5
  fchmodat2: 452, // 6.6
  map_shadow_stack: 453, // 6.6
  futex_wake: 454, // 6.7
  futex_wait: 455,
  futex_requeue: 456,
  statmount: 457, // 6.8
  listmount: 458,
  lsm_get_self_attr: 459,
  lsm_set_self_attr: 460,
  lsm_list_modules: 461,
  mseal: 462, // 6.10
  setxattrat: 463, // 6.13
  getxattrat: 464,
  listxattrat: 465,
  removexattrat: 466,
  open_tree_attr: 467, // 6.15
  file_getattr: 468, // 6.17
  file_setattr: 469,
};

/** `64` entries of arch/x86/entry/syscalls/syscall_64.tbl: not callable with the x32 bit. */
const notInX32: readonly string[] = ['map_shadow_stack'];

const onlyInX8664: Readonly<Record<string, number>> = {
  uretprobe: 335, // 6.11
  uprobe: 336, // 6.18
};

/** ARM's private calls (arch/arm/include/uapi/asm/unistd.h), `__ARM_NR_*` there. */
const armPrivate: Readonly<Record<string, number>> = {
  breakpoint: 0x0f0001,
  cacheflush: 0x0f0002,
  usr26: 0x0f0003,
  usr32: 0x0f0004,
  set_tls: 0x0f0005,
  get_tls: 0x0f0006,
};

function main(): void {
  const scratch = mkdtempSync(join(tmpdir(), 'gantry-syscalls-'));
  try {
    writeFileSync(target, printModule(readAll(scratch)));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function readAll(scratch: string): Record<Abi, Numbers> {
  const x86 = '/usr/include/x86_64-linux-gnu';
  const arm64 = join(fetchHeaders(scratch, 'linux-libc-dev-arm64-cross'), 'usr/aarch64-linux-gnu/include');
  const arm = join(fetchHeaders(scratch, 'linux-libc-dev-armhf-cross'), 'usr/arm-linux-gnueabihf/include');
  const tables: Record<Abi, Numbers> = {
    x86_64: readHeader([x86, '/usr/include'], 'asm/unistd_64.h', []),
    x86: readHeader([x86, '/usr/include'], 'asm/unistd_32.h', []),
    x32: readHeader([x86, '/usr/include'], 'asm/unistd_x32.h', ['-D__X32_SYSCALL_BIT=0']),
    aarch64: readHeader([arm64], 'asm/unistd.h', ['-U__x86_64__', '-D__aarch64__', '-D__LP64__']),
    arm: readHeader([arm], 'asm/unistd.h', ['-U__x86_64__', '-U__LP64__', '-D__arm__', '-D__ARM_EABI__']),
  };
  for (const [abi, numbers] of Object.entries(tables)) addNewer(abi as Abi, numbers);
  return tables;
}

function fetchHeaders(scratch: string, packageName: string): string {
  execFileSync('apt-get', ['-q', 'download', packageName], { cwd: scratch, stdio: ['ignore', 'ignore', 'inherit'] });
  const file = readdirSync(scratch).find((name) => name.startsWith(`${packageName}_`));
  if (file === undefined) throw new Error(`apt-get download ${packageName} left no file in ${scratch}`);
  const directory = join(scratch, packageName);
  execFileSync('dpkg', ['-x', join(scratch, file), directory]);
  return directory;
}

/** Asks the preprocessor for the names first, then for their values, since some are macros of macros. */
function readHeader(includes: readonly string[], header: string, defines: readonly string[]): Numbers {
  const options = ['-nostdinc', ...includes.flatMap((path) => ['-I', path]), ...defines];
  const macros = preprocess(['-dM', ...options], `#include <${header}>\n`);
  const names = [...macros.matchAll(/^#define __NR_(\w+) /gm)].map((match) => match[1] ?? '').filter((name) => !isMarker(name));
  const lines = names.map((name) => `@${name}=__NR_${name}\n`).join('');
  const values = preprocess(['-P', ...options], `#include <${header}>\n${lines}`);
  const numbers: Numbers = new Map();
  for (const [, name = '', expression = ''] of values.matchAll(/^@(\w+)=(.+)$/gm)) numbers.set(name, evaluate(name, expression));
  return numbers;
}

function isMarker(name: string): boolean {
  return ['syscalls', 'SYSCALL_BASE', 'OABI_SYSCALL_BASE', 'arch_specific_syscall', 'SYSCALL_MASK'].includes(name);
}

function preprocess(options: readonly string[], source: string): string {
  return execFileSync('cc', ['-E', '-x', 'c', ...options, '-'], { input: source, encoding: 'utf8' });
}

/** `(0 + 323)`, `323`. */
function evaluate(name: string, expression: string): number {
  const terms = expression
    .replace(/[()\s]/g, '')
    .split('+')
    .map(Number);
  const sum = terms.reduce((total, term) => total + term, 0);
  if (!Number.isSafeInteger(sum)) throw new Error(`__NR_${name} is ${expression}, which this tool cannot read`);
  return sum;
}

function addNewer(abi: Abi, numbers: Numbers): void {
  for (const [name, number] of Object.entries(newerNumbers)) {
    if (!(abi === 'x32' && notInX32.includes(name))) numbers.set(name, number);
  }
  const own = abi === 'x86_64' ? onlyInX8664 : abi === 'arm' ? armPrivate : {};
  for (const [name, number] of Object.entries(own)) numbers.set(name, number);
}

function printModule(tables: Record<Abi, Numbers>): string {
  const entries = Object.entries(tables).map(([abi, numbers]) => `  ${abi}: \`\n${printTable(numbers)}\`,\n`);
  return `/**
 * System call numbers by name, per ABI. Generated by \`tools/syscall-tables.ts\` from kernel headers: do not edit.
 * x32 numbers are without their bit 0x40000000. Kept as text because a start parses only the tables it needs.
 */
export const syscallNumbers = {
${entries.join('')}} as const;
`;
}

function printTable(numbers: Numbers): string {
  const words = [...numbers].sort((a, b) => a[1] - b[1] || a[0].localeCompare(b[0])).map(([name, number]) => `${name}=${number}`);
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 138) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return `${lines.join('\n')}\n`;
}

main();
