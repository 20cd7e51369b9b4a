/** What tests of running containers share: whether they can run here, commands that must succeed, and what the kernel says of a container. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { cgroupHost } from '../../src/linux/cgroup-host.ts';
import { type CommandResult, runCommand } from './command.ts';

/** For `skip`: why there can be no containers of busybox through the docker command line; false: there can. */
export async function containersMissing(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/bin/busybox')) return 'needs busybox (apt-get install busybox-static)';
  return (await runCommand(['docker', '--version'])).status === 0 ? false : 'needs the docker command line';
}

/** What a command printed that must succeed. */
export async function output(result: Promise<CommandResult>, what = ''): Promise<string> {
  const { status, stdout, stderr } = await result;
  assert.equal(status, 0, `${what}: ${stderr}`);
  return stdout;
}

/** The same of the docker command line, without the line's end. */
export async function dockerOutput(host: string, ...args: readonly string[]): Promise<string> {
  return (await output(runCommand(['docker', '-H', host, ...args]), `docker ${args.join(' ')}`)).trim();
}

/** A file of the cgroup that a process is in, by its name in cgroup v1 and in v2; null: this kernel has none. */
export function cgroupText(pid: string, controller: string, v1File: string | null, v2File: string | null): string | null {
  const { v1, unified } = cgroupHost();
  const mountPoint = v1.get(controller);
  const file = mountPoint === undefined ? v2File : v1File;
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  const line = lines.find((each) =>
    mountPoint === undefined ? each.startsWith('0::') : each.split(':')[1]?.split(',').includes(controller),
  );
  const path = `${mountPoint ?? unified}${line?.split(':').slice(2).join(':')}/${file}`;
  return file === null || !existsSync(path) ? null : readFileSync(path, 'utf8').trim();
}
