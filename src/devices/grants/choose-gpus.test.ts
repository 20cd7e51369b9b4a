import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as always, array, boolean, constant, integer, oneof, property, record, subarray } from 'fast-check';
import { everyUnit, poolOfGpus } from '../gpu-pool.ts';
import type { Gpu } from '../gpu-vendor.ts';
import type { WhichGpus } from '../requests/gpu-environment.ts';
import { chooseGpus } from './choose-gpus.ts';
import { Grants } from './grants.ts';

const gpu = (index: number, parts = 0): Gpu => ({
  index,
  uuid: `GPU-${'abcd'[index]}${index}00`,
  model: 'NVIDIA A100',
  pciAddress: `0000:0${index}:00.0`,
  memoryBytes: null,
  names: [String(index), `GPU-${'abcd'[index]}${index}00`],
  parts: Array.from({ length: parts }, (_, part) => ({
    name: `${index}:${part}`,
    uuid: `MIG-${index}${part}`,
    profile: '1g.5gb',
    names: [`${index}:${part}`, `MIG-${index}${part}`],
  })),
});
/** The last one is divided in two. */
const pool = poolOfGpus('nvidia', 'nvidia.com/gpu', [gpu(2, 2), gpu(0), gpu(1)]);

class Machine {
  readonly grants = new Grants();

  take(id: string, which: WhichGpus, exclusive = false): readonly string[] {
    const units = chooseGpus(pool, which, { grants: this.grants, holderId: id, exclusive, chosen: [] });
    this.grants.hold(
      { id, title: `container ${id}` },
      units.map(({ key }) => ({ device: key, exclusive })),
    );
    return units.map(({ name }) => name);
  }
}

const ids = (...names: readonly string[]): WhichGpus => ({ kind: 'ids', ids: names });
const count = (number: number): WhichGpus => ({ kind: 'count', count: number });
const all: WhichGpus = { kind: 'all' };

test('chooseGpus by number: the least used first, whole ones before divided ones, then by index', () => {
  const machine = new Machine();
  assert.deepEqual(machine.take('a', count(1)), ['0']);
  assert.deepEqual(machine.take('b', count(1)), ['1']);
  assert.deepEqual(machine.take('c', count(1)), ['2']);
  assert.deepEqual(machine.take('d', count(2)), ['0', '1']);
  machine.grants.release('b');
  machine.grants.release('d');
  assert.deepEqual(machine.take('e', count(1)), ['1']);
});

test('chooseGpus by name: index, UUID, the beginning of one, part, qualified name', () => {
  const machine = new Machine();
  assert.deepEqual(machine.take('a', ids('1', 'GPU-b100')), ['1']);
  assert.deepEqual(machine.take('a', ids('GPU-a', '2:1', 'MIG-20')), ['0', '2:1', '2:0']);
  assert.deepEqual(machine.take('a', ids('nvidia.com/gpu=0', 'runtime.nvidia.com/gpu=1')), ['0', '1']);
  assert.throws(() => machine.take('a', ids('MIG-2')), /"MIG-2" is ambiguous: it may be part 2:0 \(MIG 1g\.5gb MIG-20\) or part 2:1/);
  assert.throws(
    () => machine.take('a', ids('7')),
    /there is no GPU "7": this machine has GPU 0 \(NVIDIA A100, GPU-a000\), GPU 1 .*, GPU 2 .*, part 2:0/,
  );
  assert.throws(() => machine.take('a', ids('0:0')), /there is no GPU "0:0": GPU 0 \(NVIDIA A100, GPU-a000\) is not divided/);
  assert.throws(() => machine.take('a', ids('2:2')), /there is no GPU "2:2": GPU 2 .* has part 2:0 .*, part 2:1/);
  assert.throws(() => machine.take('a', ids('GPU-')), /there is no GPU "GPU-"/);
  assert.throws(() => machine.take('a', count(4)), /4 GPUs were asked for, but this machine has GPU 0 .* Ask for fewer, or for all/);
});

test('chooseGpus: what one holds exclusively nobody else gets, and what others have is not given exclusively', () => {
  const machine = new Machine();
  assert.deepEqual(machine.take('a', ids('0'), true), ['0']);
  assert.throws(
    () => machine.take('b', ids('0')),
    /^EngineError: GPU 0 \(NVIDIA A100, GPU-a000\) is held exclusively by container a\. Stop that first, or ask for others; free now: 1, 2/,
  );
  assert.throws(() => machine.take('b', all), /GPU 0 .* is held exclusively by container a/);
  assert.deepEqual(machine.take('b', count(2)), ['1', '2']);
  assert.throws(() => machine.take('c', ids('1'), true), /GPU 1 .* cannot be had exclusively: container b has it too/);
  assert.throws(
    () => machine.take('c', count(1), true),
    /1 GPU was asked for, but 0 of 3 are free: GPU 0 .* container a; GPU 1 .* container b has it too; GPU 2/,
  );
  assert.throws(
    () => machine.take('c', count(3)),
    /3 GPUs were asked for, but 2 of 3 are free: .* Stop one of these first, or ask for fewer/,
  );
  machine.grants.release('a');
  assert.deepEqual(machine.take('c', count(1), true), ['0']);
  // Its own holding is in nobody's way.
  assert.deepEqual(machine.take('c', ids('0'), true), ['0']);
});

test('chooseGpus: a GPU and its parts are in each other’s way, parts are not', () => {
  const machine = new Machine();
  machine.take('a', ids('2:0'), true);
  assert.deepEqual(machine.take('b', ids('2:1'), true), ['2:1']);
  assert.throws(() => machine.take('c', ids('2')), /GPU 2 .* is held exclusively by container a/);
  assert.throws(() => machine.take('c', all), /GPU 2 .* is held exclusively by container a/);
  assert.deepEqual(machine.take('c', count(2)), ['0', '1']);
  machine.grants.release('a');
  machine.grants.release('b');
  machine.take('a', ids('2'), true);
  assert.throws(() => machine.take('b', ids('MIG-21')), /part 2:1 .* is held exclusively by container a/);
});

const wish = record({
  who: integer({ min: 0, max: 5 }),
  exclusive: boolean(),
  release: boolean(),
  which: oneof(
    integer({ min: 1, max: 3 }).map(count),
    constant(all),
    subarray(['0', '1', '2', '2:0', '2:1', 'GPU-a', 'MIG-20'], { minLength: 1 }).map((names) => ids(...names)),
  ),
});

test('grants: whatever is taken and given back, an exclusive device has one holder, and in the end everything is free', () => {
  always(
    property(array(wish, { maxLength: 40 }), (wishes) => {
      const machine = new Machine();
      for (const { who, exclusive, release, which } of wishes) {
        const before = machine.grants.holdings();
        if (release) machine.grants.release(String(who));
        else {
          try {
            machine.take(String(who), which, exclusive);
          } catch (error) {
            assert.match(String(error), /^EngineError/);
            assert.deepEqual(machine.grants.holdings(), before, 'what is refused changes nothing');
          }
        }
        for (const unit of everyUnit(pool)) {
          const holders = machine.grants.heldBy(unit.overlap);
          // Two parts of one GPU may each have an exclusive holder: looked at from the whole, these are two.
          if (unit.parts.length === 0 && holders.some((each) => each.exclusive)) assert.equal(holders.length, 1, unit.label);
        }
      }
      for (let who = 0; who <= 5; who += 1) machine.grants.release(String(who));
      assert.deepEqual(machine.take('last', all, true), ['0', '1', '2']);
    }),
    { numRuns: 300 },
  );
});
