/** Entry of the worker thread that reads what containers use: with hundreds of cgroups the kernel takes its time, which the event loop has not. */
import { parentPort } from 'node:worker_threads';
import { readCgroupUsage } from '../linux/cgroup-usage.ts';
import { processesOfCgroup } from '../linux/cgroups.ts';
import { readInterfaces, readMachineCpu } from '../linux/machine-usage.ts';
import { readProcessFacts } from '../linux/process-facts.ts';
import { describeFailure, type WorkerReply } from '../store/worker-call.ts';
import type { UsageReading, UsageTarget } from './usage-reading.ts';

const port = parentPort;

port?.on('message', ({ id, targets }: { readonly id: number; readonly targets: readonly UsageTarget[] }) => {
  port.postMessage(answer(id, targets));
});

function answer(id: number, targets: readonly UsageTarget[]): WorkerReply {
  try {
    return { id, ok: true, value: targets.map(read) satisfies UsageReading };
  } catch (error) {
    return { id, ok: false, error: describeFailure(error) };
  }
}

/** Of one container with more of them nobody reads a list. */
const maxProcesses = 2000;

function read({ cgroup: path, pid, interfaces, processes: withProcesses = false }: UsageTarget): UsageReading[number] {
  // The machine's time is read beside each cgroup's: the two are compared.
  const machine = readMachineCpu();
  const cgroup = readCgroupUsage(path);
  if (cgroup === null) return null;
  const counted = interfaces.length === 0 ? [] : readInterfaces(pid).filter(({ name }) => interfaces.includes(name));
  const pids = withProcesses ? processesOfCgroup(path).slice(0, maxProcesses) : [];
  const processes = pids.flatMap((each) => readProcessFacts(each) ?? []);
  return { at: new Date(), machine, cgroup, interfaces: counted, processes };
}
