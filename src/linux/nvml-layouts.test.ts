import assert from 'node:assert/strict';
import { test } from 'node:test';
import { largestProcessBytes, memoryV2, pattern, readProcesses, readSamples, sampleBytes } from './nvml-layouts.ts';

/** Entries one after the other, in a room for eight of the largest. */
function processBytes(...entries: readonly string[]): Buffer {
  const room = Buffer.alloc(8 * largestProcessBytes, pattern);
  Buffer.from(entries.join('').replace(/\s/g, ''), 'hex').copy(room);
  return room;
}

// pid 0x1234, padding that is not written, 256 bytes
const first = '34120000 a5a5a5a5 0001000000000000';
// pid 7, memory not told
const second = '07000000 a5a5a5a5 ffffffffffffffff';
const noInstances = 'ffffffff ffffffff';
const instances = '05000000 00000000';

test('readProcesses: entries of 16, 24 and 32 bytes are told by what was written', () => {
  const [one, two] = [
    { pid: 0x1234, memory: 256, gpuInstance: null, computeInstance: null },
    { pid: 7, memory: null, gpuInstance: null, computeInstance: null },
  ];
  assert.deepEqual(readProcesses(processBytes(first, second), 2), [one, two]);
  const inPart = { ...two, gpuInstance: 5, computeInstance: 0 };
  assert.deepEqual(readProcesses(processBytes(first, noInstances, second, instances), 2), [one, inPart]);
  const protectedBytes = '0000000000000000';
  assert.deepEqual(readProcesses(processBytes(first, noInstances, protectedBytes, second, instances, protectedBytes), 2), [one, inPart]);
  assert.deepEqual(readProcesses(processBytes(), 0), []);
});

test('readSamples: of processes; a sample of none is left out', () => {
  const entry = (pid: string, busy: string) => `${pid} 00000000 40420f0000000000 ${busy} 00000000 00000000 00000000`.replace(/\s/g, '');
  const bytes = Buffer.from(entry('09000000', '25000000') + entry('00000000', '01000000'), 'hex');
  assert.equal(bytes.length, 2 * sampleBytes);
  assert.deepEqual(readSamples(bytes, 2), [{ pid: 9, at: 1_000_000n, busy: 37 }]);
});

test('memoryV2: its version is the size and a 2 in the highest byte', () => {
  assert.equal(memoryV2.version, 0x0200_0028);
});
