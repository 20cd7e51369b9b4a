/**
 * Real command lines through the unmodified docker CLI: on the peer, on ours speaking API 1.41 (equal after masking), and on ours speaking its newest (must succeed).
 * Needs root, the docker CLI, Debian's docker.io and busybox-static.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type CommandResult, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { type Peer, peerMissing, startPeer } from '../harness/peer.ts';
import { buildLines } from './build-lines.ts';
import { lifeLines } from './life-lines.ts';
import { type LineRegistries, maskRegistries, startLineRegistries } from './line-registries.ts';
import { type CompatLine, lines } from './lines.ts';
import { mask } from './mask.ts';
import { networkLines } from './network-lines.ts';
import { registryLines } from './registry-lines.ts';
import { resourceLines } from './resource-lines.ts';
import { volumeLines } from './volume-lines.ts';

const missing = peerMissing() ?? ((await shell('docker --version')).status === 0 ? null : 'needs the docker CLI');

const all: readonly CompatLine[] = [
  ...lines,
  ...lifeLines,
  ...networkLines,
  ...registryLines,
  ...resourceLines,
  ...volumeLines,
  ...buildLines,
];

suite('the unmodified docker CLI', { skip: missing ?? false }, () => {
  let peer: Peer;
  let gantry: GantryDaemon;
  let theirRegistries: LineRegistries;
  let ourRegistries: LineRegistries;
  let onTheirs: ReadonlyMap<CompatLine, Promise<CommandResult>>;
  let onOurs: ReadonlyMap<CompatLine, Promise<readonly [old: CommandResult, newest: CommandResult]>>;
  let isOver = false;

  before(async () => {
    [peer, gantry] = await Promise.all([startPeer(), startGantry()]);
    await loadBusybox(peer.host, gantry.host);
    const beside = ['nsenter', `--net=/proc/${peer.pids()[0]}/ns/net`];
    [theirRegistries, ourRegistries] = await Promise.all([startLineRegistries(beside), startLineRegistries([])]);
    // Both sides at once, each at its own speed: neither waits for the other after each line.
    const waits = new Map(all.filter(({ peerWaits }) => peerWaits).map((line) => [line, askPeer(line)]));
    const others = all.filter((line) => !waits.has(line));
    onTheirs = new Map([...waits, ...inOrder(others, askPeer, Promise.allSettled(waits.values()))]);
    onOurs = inOrder(all, askOurs);
  });

  after(async () => {
    isOver = true;
    await gantry?.dispose();
    await Promise.all([theirRegistries?.dispose(), ourRegistries?.dispose()]);
    await peer?.stop();
  });

  const on = async (host: string, registries: LineRegistries, script: string, version: string | null): Promise<CommandResult> => {
    const env = { ...process.env, ...registries.env, DOCKER_HOST: host, ...(version === null ? {} : { DOCKER_API_VERSION: version }) };
    const { status, stdout, stderr } = await shell(script, { env });
    return { status, stdout: maskRegistries(stdout, registries), stderr: maskRegistries(stderr, registries) };
  };

  const askPeer = ({ script }: CompatLine): Promise<CommandResult> => on(peer.host, theirRegistries, script, '1.41');

  /** One after the other, as scripts use fixed names. */
  const askOurs = async ({ script }: CompatLine): Promise<readonly [CommandResult, CommandResult]> => {
    const first = await on(gantry.host, ourRegistries, script, '1.41');
    return [first, await on(gantry.host, ourRegistries, script, null)];
  };

  /** Begun now, one after the other. */
  function inOrder<T>(some: readonly CompatLine[], ask: (line: CompatLine) => Promise<T>, after: Promise<unknown> = Promise.resolve()) {
    let before = after;
    const results = new Map<CompatLine, Promise<T>>();
    for (const line of some) {
      const result = before.then(() => (isOver ? Promise.reject(new Error('the suite is over')) : ask(line)));
      before = result.catch(() => {});
      results.set(line, result);
    }
    return results;
  }

  for (const line of all) {
    test(line.name, async () => {
      const [theirs, [ours, newest]] = [await onTheirs.get(line), (await onOurs.get(line)) ?? []];
      assert.ok(theirs && ours && newest);
      const status = line.status ?? theirs.status;
      assert.equal(ours.status, status, `exit status with API 1.41; stderr: ${ours.stderr}`);
      assert.equal(newest.status, status, `exit status with the newest API; stderr: ${newest.stderr}`);
      if (line.differs !== undefined) return;
      assert.equal(mask(ours.stdout), mask(theirs.stdout), 'standard output');
      assert.equal(mask(ours.stderr), mask(theirs.stderr), 'standard error');
    });
  }
});
