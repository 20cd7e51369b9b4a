/** Many containers at once on this machine: that none fails, how quick `ps` is among them, and what one of them costs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createBody, engineCall, engineRequest } from '../faults/engine-request.ts';
import type { GantryDaemon } from '../harness/gantry.ts';

const listings = 100;
const atOnce = 4;

/** On the default bridge, as people start them. */
export async function manyContainers({ host }: GantryDaemon, count: number, failures: string[]): Promise<string> {
  const names = Array.from({ length: count }, (_, index) => `many-${index}`);
  const freeBefore = availableKb();
  const started = performance.now();
  const waiting = names.values();
  const startMs: number[] = [];
  const lane = async (): Promise<void> => {
    for (const name of waiting) {
      const began = performance.now();
      const failure = await startOne(host, name);
      if (failure === null) startMs.push(performance.now() - began);
      else failures.push(`${name}: ${failure}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  const seconds = (performance.now() - started) / 1000;
  const perContainerMb = (freeBefore - availableKb()) / 1024 / count;
  const listMs = await listingTimes(host, count - failures.length);
  for (const name of names) await engineCall(host, 'DELETE', `/containers/${name}?force=1&v=1`);
  return [
    `started in ${seconds.toFixed(1)} s, ${atOnce} at a time: median ${percentile(startMs, 0.5)} ms, p99 ${percentile(startMs, 0.99)} ms`,
    `\`ps\` p99 ${percentile(listMs, 0.99)} ms`,
    `${perContainerMb.toFixed(2)} MB a container, all memory of the machine counted`,
  ].join('; ');
}

async function startOne(host: string, name: string): Promise<string | null> {
  const body = { ...(createBody({ command: ['sleep', '100000'] }) as object), HostConfig: {} };
  const created = await engineRequest(host, 'POST', `/containers/create?name=${name}`, body);
  if (created?.status !== 201) return created?.body ?? 'no answer';
  const reply = await engineRequest(host, 'POST', `/containers/${name}/start`);
  return reply?.status === 204 ? null : (reply?.body ?? 'no answer');
}

async function listingTimes(host: string, running: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < listings; index++) {
    const began = performance.now();
    const list = JSON.parse(await engineCall(host, 'GET', '/containers/json')) as readonly unknown[];
    times.push(performance.now() - began);
    assert.equal(list.length, running, 'containers in the list');
  }
  return times;
}

function percentile(values: readonly number[], part: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(1);
}

/** Kernel memory counts too: namespaces, overlay mounts, cgroups. */
function availableKb(): number {
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
}
