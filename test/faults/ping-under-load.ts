/** The daemon's event loop stays free: `/_ping` while an image loads and containers log as fast as they can. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { engineCall, engineRequest } from './engine-request.ts';
import { bigImage } from './load-crash.ts';

export interface PingFigures {
  readonly pings: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
  readonly loadSeconds: number;
}

export async function pingUnderLoad(daemon: GantryDaemon, archive: string, loggers: number): Promise<PingFigures> {
  const { host } = daemon;
  const names = Array.from({ length: loggers }, (_, index) => `logger-${index}`);
  for (const name of names) {
    // Rotated, so that the disk does not fill.
    const body = {
      Image: 'busybox',
      Cmd: ['sh', '-c', 'yes "a line that is as long as lines of logs usually are, which is to say not very long"'],
      HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } } },
    };
    await engineCall(host, 'POST', `/containers/create?name=${name}`, body);
    await engineCall(host, 'POST', `/containers/${name}/start`);
  }
  const before = Date.now();
  let isLoading = true;
  const load = runCommand(['docker', '-H', host, 'load', '-q', '-i', archive], { timeoutMs: 300_000 }).finally(() => {
    isLoading = false;
  });
  const times: number[] = [];
  while (isLoading) {
    const start = performance.now();
    assert.equal((await engineRequest(host, 'GET', '/_ping'))?.status, 200);
    times.push(performance.now() - start);
    await delay(5);
  }
  const loaded = await load;
  assert.equal(loaded.status, 0, loaded.stderr);
  const loadSeconds = (Date.now() - before) / 1000;
  for (const name of names) await engineCall(host, 'DELETE', `/containers/${name}?force=1`);
  await engineCall(host, 'DELETE', `/images/${bigImage}`);
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { pings: times.length, medianMs: at(0.5), p99Ms: at(0.99), slowestMs: at(1), loadSeconds };
}

/** For a person to read. */
export function pingText({ pings, medianMs, p99Ms, slowestMs, loadSeconds }: PingFigures): string {
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  return `${pings} pings in ${loadSeconds.toFixed(1)} s: median ${ms(medianMs)}, p99 ${ms(p99Ms)}, slowest ${ms(slowestMs)}`;
}
