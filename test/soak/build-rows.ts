/** Builds in `npm run soak`: the full numbers behind the samples of test/build. */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { crashDuringBuild, prepareCrashes } from '../build/build-crash.ts';
import { askPeer, buildAll, differences, type Recorded } from '../build/compare-builds.ts';
import { generatedCase } from '../build/generated-cases.ts';
import { peerCases } from '../build/peer-cases.ts';
import { randomFrom } from '../faults/crash-round.ts';
import { runCommand } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { peerMissing, startPeer } from '../harness/peer.ts';

const recordedBuilds = new URL('../build/recorded/peer-builds.json', import.meta.url);

export async function killedWhileBuilding(daemon: GantryDaemon, kills: number, failures: string[]): Promise<string> {
  const subject = await prepareCrashes(daemon);
  const random = randomFrom(11);
  for (let round = 1; round <= kills; round++) {
    const afterMs = random() * 1500;
    try {
      await crashDuringBuild(daemon, subject, afterMs);
    } catch (thrown) {
      failures.push(`after ${Math.round(afterMs)} ms: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      await runCommand(['docker', '-H', daemon.host, 'rmi', '-f', 'crashed']);
    }
  }
  return '';
}

/** Those of test/build/peer-cases.ts by a peer that runs, and Dockerfiles from seeds by its BuildKit: trees and configs as ours. */
export async function builtAsByThePeer(daemon: GantryDaemon, generated: number, failures: string[]): Promise<string> {
  const missing = peerMissing();
  if (missing !== null) throw new Error(missing);
  const peer = await startPeer();
  try {
    await loadBusybox(peer.host);
    const recorded: Readonly<Record<string, Recorded>> = JSON.parse(readFileSync(recordedBuilds, 'utf8'));
    for (const [name, now] of Object.entries(await askPeer(peer.host, peerCases)))
      if (!isDeepStrictEqual(now, recorded[name])) failures.push(`${name}: the peer makes something else than was recorded`);
    const cases = Array.from({ length: generated }, (_, index) => generatedCase(1000 + index));
    const [theirs, ours] = await Promise.all([
      buildAll(peer.host, cases, { atOnce: 2, query: { version: '2' } }),
      buildAll(daemon.host, cases, { atOnce: 2 }),
    ]);
    for (const [name, outcome] of theirs) {
      const mine = ours.get(name);
      for (const [key, text] of mine === undefined ? [] : differences(mine, outcome)) failures.push(`${name}: ${key}: ${text}`);
    }
    const built = [...ours.values()].filter(({ error }) => error === null).length;
    return `${built} of ${generated} from seeds are built by both, the rest by neither`;
  } finally {
    await peer.stop();
  }
}
