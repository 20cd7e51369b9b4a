/** Dockerfiles made from a seed, of what both of the peer's builders read the same way: stages, RUNs on a small tree, COPY and ADD of the shared context and of other stages, configs. */
import { randomFrom } from '../faults/crash-round.ts';
import type { PeerCase } from './peer-cases.ts';

interface Draw {
  /** One of them. */
  of<T>(choices: readonly [T, ...T[]]): T;
  /** From 0 to `below`. */
  number(below: number): number;
  happens(chance: number): boolean;
}

interface Stage {
  readonly name: string;
  readonly lines: string[];
}

const targets = ['/w', '/w/', '/w/x/', '/w/y/z/', '/n/new/', '/n/d/', '/n/one', 'rel/', './', '/etc/', '/w/link/', '/t/u/v'] as const;
const sources = ['f', 'g', 'x.sh', 'd', 'd/', 'd/b', 'e', 'ld', 'ln', 'd/a', 'd/l', '[fg]', 'e/*', 'd/hard?', '*.sh', 'd/b/./c'] as const;
const stageSources = ['/w', '/w/a', '/etc/passwd', '/etc', '/n', '/rel', '/w/link', '/bin/../etc/group'] as const;
const words = ['one', 'two words', '$A', '${B:-none}', '"q $A"', "'lit $A'", 'a$$b', '${A:+yes}', '\\$A', 'x${B}y'] as const;
const places = ['/w/a', '/w/b', '/w/b/d', '/n/x', '/w/x/f', '/w/link', '/etc/group', '/n/d/b/deep/er'] as const;
const parts = ['%', '%/s', '%/t/u', '%.x'] as const;

export function generatedCase(seed: number): PeerCase {
  const draw = drawFrom(seed);
  const stages: Stage[] = [];
  const count = 1 + draw.number(3);
  for (let index = 0; index < count; index++) stages.push(stage(draw, `s${index}`, stages));
  return { name: `seed ${seed}`, dockerfile: `${stages.flatMap(({ lines }) => lines).join('\n')}\n` };
}

function drawFrom(seed: number): Draw {
  const random = randomFrom(seed);
  const number = (below: number) => Math.floor(random() * below);
  return {
    of: (choices) => choices[number(choices.length)] ?? choices[0],
    number,
    happens: (chance) => random() < chance,
  };
}

function stage(draw: Draw, name: string, before: readonly Stage[]): Stage {
  const base = before.length > 0 && draw.happens(0.3) ? (before[draw.number(before.length)]?.name ?? 'busybox') : 'busybox';
  const lines = [`FROM ${base} AS ${name}`];
  // What others copy from it is there, mostly.
  if (draw.happens(0.9)) lines.push('RUN mkdir -p /w/b /n rel; echo there > /w/a; ln -sfn b /w/link; true');
  const steps = 3 + draw.number(6);
  for (let step = 0; step < steps; step++) lines.push(instruction(draw, before));
  if (draw.happens(0.3))
    lines.push(draw.of(['USER 1000', 'USER user:extra', 'STOPSIGNAL 9', 'EXPOSE 80 53/udp', 'CMD ["a", "b"]', 'ENTRYPOINT e $A']));
  return { name, lines };
}

function instruction(draw: Draw, before: readonly Stage[]): string {
  const choice = draw.number(20);
  if (choice < 7) return `RUN ${commands(draw)}`;
  if (choice < 12) return copy(draw);
  if (choice < 14 && before.length > 0)
    return `COPY --from=${before[draw.number(before.length)]?.name} ${draw.of(stageSources)} ${draw.of(targets)}`;
  if (choice < 15) return `ADD ${draw.of(['t.tar', 't.tar.gz', 'f', 'd', 'not-a.tar.gz'])} ${draw.of(targets)}`;
  if (choice < 17) return `ENV ${draw.of(['A', 'B', 'C'])}=${quoted(draw.of(words))}`;
  if (choice < 18) return `LABEL ${draw.of(['l', 'm.n'])}=${quoted(draw.of(words))}`;
  if (choice < 19) return `WORKDIR ${draw.of(['/w', 'sub', '/n/deep', '..', '/etc'])}`;
  return copy(draw, `--chown=${draw.number(3)}:${draw.number(3)} `);
}

function quoted(word: string): string {
  return /^["']/.test(word) ? word : `"${word}"`;
}

/** Several sources need a directory. */
function copy(draw: Draw, flags = ''): string {
  const chosen = draw.happens(0.3) ? [draw.of(sources), draw.of(sources)] : [draw.of(sources)];
  const target = draw.of(targets);
  const several = chosen.length > 1 || chosen.some((source) => /[*[?]/.test(source));
  return `COPY ${flags}${chosen.join(' ')} ${several && !target.endsWith('/') ? `${target}/` : target}`;
}

/** Each may fail: what is there by then is what counts. */
function commands(draw: Draw): string {
  const chosen = Array.from({ length: 1 + draw.number(4) }, () => command(draw));
  return `${chosen.join('; ')}; true`;
}

function command(draw: Draw): string {
  const place = () => draw.of(places);
  const part = () => draw.of(parts).replace('%', place());
  switch (draw.number(13)) {
    case 0:
      return `mkdir -p ${part()}`;
    case 1:
    case 2:
      return `mkdir -p $(dirname ${place()}); echo ${draw.number(100)} > ${place()}`;
    case 3:
      return `rm -rf ${part()}`;
    case 4:
      return `ln -sfn ${draw.of(['a', '/w/b', '../n', 'nowhere'])} ${draw.of(['/w/link', '/w/a/l'])}`;
    case 5:
      return `ln ${place()} ${part()}`;
    case 6:
      return `mv ${part()} ${part()}`;
    case 7:
      return `chmod ${draw.of(['700', '644', '4755', '1777', '2750', 'a+x'])} ${part()}`;
    case 8:
      return `chown ${draw.number(4)}:${draw.number(4)} ${part()}`;
    case 9:
      return `cp -a ${place()} ${part()}`;
    case 10:
      return `touch -d @${draw.number(1_000_000_000)} ${part()}`;
    case 11:
      return `env | grep ^[ABC]= | sort > /env; pwd > /pwd`;
    default:
      // Where no COPY takes them, which the peer's BuildKit does otherwise, and nobody writes, who would wait for a reader.
      return 'mkfifo /fifo; mknod /null c 1 3';
  }
}
