/** Builds in `npm run soak`: the full numbers behind the samples of test/build. */
import { crashDuringBuild, prepareCrashes } from '../build/build-crash.ts';
import { randomFrom } from '../faults/crash-round.ts';
import { runCommand } from '../harness/command.ts';
import type { GantryDaemon } from '../harness/gantry.ts';

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
