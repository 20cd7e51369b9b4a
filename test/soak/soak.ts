/** `npm run soak [rounds]`: the full numbers behind the samples of `npm test`; writes docs/soak.md. */
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { crashRound } from '../faults/crash-round.ts';
import { runCommand } from '../harness/command.ts';
import { startGantry } from '../harness/gantry.ts';
import { busyboxArchive } from '../harness/images.ts';

const rounds = Number(process.argv[2] ?? 100);
const archive = await busyboxArchive();
if (archive === null) throw new Error('soak needs busybox (apt-get install busybox-static)');
const daemon = await startGantry();
const failures: string[] = [];
const started = Date.now();
try {
  await runCommand(['docker', '-H', daemon.host, 'load', '-q', '-i', archive]);
  for (let round = 1; round <= rounds; round++) {
    try {
      await crashRound(daemon, 1000 + round);
    } catch (thrown) {
      failures.push(`seed ${1000 + round}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      await runCommand(['/bin/sh', '-c', 'docker rm -f $(docker ps -aq)'], { env: { ...process.env, DOCKER_HOST: daemon.host } });
    }
    if (round % 10 === 0) console.log(`${round} of ${rounds} kills, ${failures.length} failures`);
  }
} finally {
  await daemon.dispose();
}
const seconds = Math.round((Date.now() - started) / 1000);
const text = `# Soak

Written by \`npm run soak\`; do not edit.

| row | rounds | failures | time | kernel | date |
| --- | --- | --- | --- | --- | --- |
| daemon SIGKILLed at a random moment while 5 containers write, run and exit | ${rounds} | ${failures.length} | ${seconds} s | ${release()} | ${new Date().toISOString().slice(0, 10)} |

${failures.map((failure) => `- ${failure}`).join('\n')}
`;
writeFileSync(new URL('../../docs/soak.md', import.meta.url), `${text.trimEnd()}\n`);
console.log(`${rounds - failures.length} passed, ${failures.length} failed, 0 skipped`);
process.exitCode = failures.length === 0 ? 0 : 1;
