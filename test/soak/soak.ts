/**
 * `npm run soak [kills] [part of a row's name …]`: the full numbers behind the samples of `npm test`; all other numbers follow from that of the kills (100).
 * Each row that was run is written to docs/soak.md with its date; the others keep what they have there. `npm run soak list` names them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { crashRound, randomFrom } from '../faults/crash-round.ts';
import { type LeakFigures, leakCycles } from '../faults/leak-cycles.ts';
import { bigArchive, crashDuringLoad, crashDuringRemoval } from '../faults/load-crash.ts';
import { pingText, pingUnderLoad } from '../faults/ping-under-load.ts';
import { liveWithoutDaemon } from '../faults/without-daemon.ts';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { builtAsByThePeer, killedWhileBuilding } from './build-rows.ts';
import { manyContainers } from './many-containers.ts';
import { killedWhileNetworksChange, membersJoinAndLeave, networksMadeAndRemoved, portsComeAndGo } from './network-rows.ts';
import { crowdBesideCollection, crowdBesideKills, pingWhilePulling, pullsCut, stalledPull, zerosPulled } from './registry-rows.ts';
import { killedWhileVolumesChange, volumesMadeAndRemoved } from './volume-rows.ts';

interface Row {
  readonly name: string;
  readonly rounds: number;
  /** Adds what went wrong, or throws it; tells figures. */
  readonly run: (failures: string[]) => Promise<string>;
}

interface Outcome {
  readonly name: string;
  readonly rounds: number;
  readonly failures: readonly string[];
  readonly seconds: number;
  readonly figures: string;
  /** `2026-11-21` */
  readonly date: string;
}

const [first = '', ...rest] = process.argv.slice(2);
const numbered = /^\d+$/.test(first);
const kills = numbered ? Number(first) : 100;
const wanted = numbered ? rest : [first, ...rest].filter((part) => part !== '');
const imageKills = Math.ceil(kills / 5);
const crashRounds = kills * 5;
const leakRounds = kills * 5;
const pingLimitMs = 1000;
const reportFile = new URL('../../docs/soak.md', import.meta.url);

const rows: readonly Row[] = [
  {
    name: 'daemon SIGKILLed at a random moment while containers are created, write, run, exit, are exec’d into, copied into, committed, stopped and removed',
    rounds: crashRounds,
    run: withDaemon(killsRow),
  },
  {
    name: 'daemon SIGKILLed at a random moment while a 40 MB image is loaded or removed',
    rounds: imageKills,
    run: withDaemon(imageKillsRow),
  },
  {
    name: 'containers created, started and removed: descriptors, threads, memory, mounts, cgroups, exec root',
    rounds: leakRounds,
    run: withDaemon(leakRow),
  },
  {
    name: 'containers at once on this machine',
    rounds: kills * 5,
    run: withDaemon((daemon, failures) => manyContainers(daemon, kills * 5, failures)),
  },
  { name: 'minutes without a daemon, 50 containers writing', rounds: kills / 10, run: withDaemon(aloneRow) },
  { name: '`/_ping` while a 200 MB image loads and 20 containers log at full speed', rounds: 1, run: withDaemon(pingRow) },
  { name: 'networks made, joined and removed, four at a time', rounds: kills * 5, run: () => networksMadeAndRemoved(kills * 5) },
  {
    name: 'containers on one network: all at once, then leaving and joining while names are asked for',
    rounds: kills * 2,
    run: () => membersJoinAndLeave(kills * 2),
  },
  { name: 'published ports come and go, each spoken to from another host', rounds: kills * 5, run: () => portsComeAndGo(kills * 5) },
  {
    name: 'daemon SIGKILLed at a random moment while networks are made, joined, left and removed',
    rounds: kills,
    run: (failures) => killedWhileNetworksChange(kills, failures),
  },
  {
    name: 'volumes made, cloned, renamed and removed',
    rounds: kills * 10,
    run: withDaemon((daemon) => volumesMadeAndRemoved(daemon, kills * 10)),
  },
  {
    name: 'daemon SIGKILLed at a random moment while volumes are made, filled, cloned, renamed and removed',
    rounds: kills,
    run: withDaemon((daemon, failures) => killedWhileVolumesChange(daemon, kills, failures)),
  },
  {
    name: 'pulls cut at a random byte: the way comes back, the pull gives up, the daemon is SIGKILLed; the registry counts every byte',
    rounds: kills,
    run: (failures) => pullsCut(kills, failures),
  },
  { name: 'a registry that stalls in the middle of a layer', rounds: 1, run: () => stalledPull() },
  { name: 'an image of 10 GiB of zeros is pulled', rounds: 1, run: () => zerosPulled() },
  { name: '`/_ping` while a 170 MB image is pulled', rounds: 1, run: (failures) => pingWhilePulling(failures, pingLimitMs) },
  {
    name: 'operations of 64 clients on our registry at once, garbage collected twice a second',
    rounds: 64 * kills,
    run: () => crowdBesideCollection(64, kills),
  },
  {
    name: 'operations of 64 clients on our registry at once, garbage collected, the server SIGKILLed',
    rounds: 64 * Math.ceil(kills / 2),
    run: () => crowdBesideKills(64, Math.ceil(kills / 2), Math.ceil(kills / 5)),
  },
  {
    name: 'daemon SIGKILLed at a random moment while an image of three stages is built',
    rounds: kills,
    run: withDaemon((daemon, failures) => killedWhileBuilding(daemon, kills, failures)),
  },
  {
    name: "Dockerfiles built by us and by the peer's two builders: file trees and configs",
    rounds: kills * 2,
    run: withDaemon((daemon, failures) => builtAsByThePeer(daemon, kills * 2, failures)),
  },
];

if (wanted[0] === 'list') for (const { name, rounds } of rows) console.log(`${String(rounds).padStart(6)}  ${name}`);
else await runRows(rows.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part))));

async function runRows(chosen: readonly Row[]): Promise<void> {
  const outcomes: Outcome[] = [];
  for (const row of chosen) {
    outcomes.push(await outcomeOf(row));
    // After each: a run of hours may be cut off.
    writeFileSync(reportFile, report(withFormer(outcomes)));
  }
  const failed = outcomes.reduce((sum, { failures }) => sum + failures.length, 0);
  console.log(`${outcomes.reduce((sum, { rounds }) => sum + rounds, 0) - failed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed === 0 && chosen.length > 0 ? 0 : 1;
}

async function outcomeOf({ name, rounds, run }: Row): Promise<Outcome> {
  const failures: string[] = [];
  const started = Date.now();
  let figures = '';
  try {
    figures = await run(failures);
  } catch (thrown) {
    failures.push(textOf(thrown));
  }
  const seconds = Math.round((Date.now() - started) / 1000);
  console.log(`${name}: ${rounds} rounds, ${failures.length} failures, ${seconds} s ${figures}`);
  for (const failure of failures) console.log(failure);
  return { name, rounds, failures, seconds, figures, date: new Date().toISOString().slice(0, 10) };
}

/** Each row has a daemon of its own. */
function withDaemon(work: (daemon: GantryDaemon, failures: string[]) => Promise<string>): Row['run'] {
  return async (failures) => {
    const daemon = await startGantry();
    try {
      await loadBusybox(daemon.host);
      return await work(daemon, failures);
    } finally {
      await daemon.dispose();
    }
  };
}

async function killsRow(daemon: GantryDaemon, failures: string[]): Promise<string> {
  for (let round = 1; round <= crashRounds; round++) {
    try {
      await crashRound(daemon, 1000 + round);
    } catch (thrown) {
      failures.push(textOf(thrown));
      console.log(thrown);
      await runCommand(['/bin/sh', '-c', 'docker rm -f $(docker ps -aq)'], { env: { ...process.env, DOCKER_HOST: daemon.host } });
    }
    if (round % 10 === 0) console.log(`${round} of ${crashRounds} kills, ${failures.length} failures`);
  }
  return '';
}

async function imageKillsRow(daemon: GantryDaemon, failures: string[]): Promise<string> {
  // The blobs and layers that are looked for are then all of the big image.
  await runCommand(['docker', '-H', daemon.host, 'rmi', 'busybox']);
  const archive = await bigArchive(daemon.directory, 40);
  const random = randomFrom(7);
  for (let round = 1; round <= imageKills; round++) {
    const [crash, afterMs] = round % 4 === 0 ? [crashDuringRemoval, random() * 120] : [crashDuringLoad, random() * 700];
    try {
      await crash(daemon, archive, afterMs);
    } catch (thrown) {
      failures.push(`${crash.name} after ${afterMs} ms: ${textOf(thrown)}`);
      await runCommand(['docker', '-H', daemon.host, 'rmi', '-f', 'big']);
    }
  }
  return '';
}

async function leakRow(daemon: GantryDaemon): Promise<string> {
  return leakText(await leakCycles(daemon, leakRounds, 60));
}

function leakText({ daemonBefore, daemonAfter, launcherBefore, launcherAfter }: LeakFigures): string {
  const change = (before: number, after: number): string => `${before} → ${after}`;
  return [
    `daemon: descriptors ${change(daemonBefore.descriptors, daemonAfter.descriptors)}, threads ${change(daemonBefore.threads, daemonAfter.threads)}, resident KB ${change(daemonBefore.residentKb, daemonAfter.residentKb)}`,
    `launcher: descriptors ${change(launcherBefore.descriptors, launcherAfter.descriptors)}, resident KB ${change(launcherBefore.residentKb, launcherAfter.residentKb)}`,
  ].join('; ');
}

async function aloneRow(daemon: GantryDaemon): Promise<string> {
  const { lines, bytes } = await liveWithoutDaemon(daemon, 50, kills * 6000);
  return `${lines} lines, ${bytes} bytes, all there; none restarted`;
}

async function pingRow(daemon: GantryDaemon, failures: string[]): Promise<string> {
  const figures = await pingUnderLoad(daemon, await bigArchive(daemon.directory, 200), 20);
  if (figures.p99Ms > pingLimitMs) failures.push(`p99 over ${pingLimitMs} ms: ${pingText(figures)}`);
  return pingText(figures);
}

/** In the order of the rows; of those that were not run now, the line that the report has. */
function withFormer(outcomes: readonly Outcome[]): readonly (Outcome | string)[] {
  const former = readFileSync(reportFile, 'utf8').split('\n');
  return rows.flatMap(
    ({ name }) => outcomes.find((outcome) => outcome.name === name) ?? former.find((line) => line.startsWith(`| ${name} |`)) ?? [],
  );
}

function report(all: readonly (Outcome | string)[]): string {
  const lines = all.map((one) =>
    typeof one === 'string'
      ? one
      : `| ${one.name} | ${one.rounds} | ${one.failures.length} | ${one.seconds} s | ${one.date} | ${one.figures} |`,
  );
  const outcomes = all.filter((one) => typeof one !== 'string');
  const failures = outcomes.flatMap((one) => one.failures.map((failure) => `- ${one.name}: ${failure.replaceAll('\n', ' ')}`));
  return `# Soak

Written by \`npm run soak\`; do not edit. Kernel ${release()}.

In the first row each kill meets nine containers: writers, one with \`--rm\`, one that runs through it with an exec'd process and an attached client, others being
created, committed, stopped and removed. About one kill in three is followed by another while the daemon starts, one in four takes the launcher with it. After each row of networks links,
nft elements, namespaces, tracked flows and descriptors are counted again, and more than before is a failure. What \`test/faults\` holds besides:
launchers and monitors killed alone and together, with the daemon alive and dead.

| row | rounds | failures | time | run | figures |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
${failures.length === 0 ? '' : `\n${failures.join('\n')}\n`}`;
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
