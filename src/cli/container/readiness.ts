/**
 * Waiting for a container to be ready: `healthy` and `port=N` are asked of the daemon, `log=REGEX` is looked for here, in the log of the run under way from
 * its first line on, so that nothing is missed. A container that ends first is an error.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseGoDuration } from '../../base/parse-go-duration.ts';
import type { ContainerApi, WaitCondition } from '../../client/container-api.ts';
import { FrameDecoder } from '../../wire/stream-frames.ts';
import { CliError } from '../cli-error.ts';
import { errorMessage } from '../error-message.ts';
import type { FlagValues } from '../flags/flag-values.ts';

export type Wish = { readonly kind: 'daemon'; readonly condition: WaitCondition } | { readonly kind: 'log'; readonly pattern: RegExp };

const exits: readonly string[] = ['not-running', 'next-exit', 'removed'];
/** Output may be stamped a moment before the start that it follows. */
const stampMarginMs = 50;
const restartPauseMs = 100;

/** Null: an exit, which is waited for as Docker does. */
export function parseCondition(text: string): Wish | null {
  if (text === '' || exits.includes(text)) return null;
  if (text === 'healthy') return { kind: 'daemon', condition: 'healthy' };
  const port = /^port=(\d+(?:\/(?:tcp|udp))?)$/.exec(text)?.[1];
  if (port !== undefined) return { kind: 'daemon', condition: `port=${port}` };
  if (text.startsWith('log=')) return { kind: 'log', pattern: parsePattern(text.slice('log='.length)) };
  throw new CliError(`invalid condition: ${JSON.stringify(text)}: use ${exits.join(', ')}, healthy, log=REGEX or port=N[/udp]`);
}

/** Milliseconds; null: for as long as it takes. */
export function patienceOf(flags: FlagValues, flag: string): number | null {
  const nanoseconds = flags.parsed(flag, parseGoDuration);
  return nanoseconds === undefined ? null : nanoseconds / 1e6;
}

/** Throws what went wrong, in a person's words. */
export async function waitUntilReady(containers: ContainerApi, name: string, wish: Wish, patienceMs: number | null): Promise<void> {
  const timeout = new AbortController();
  const timer = patienceMs === null ? null : setTimeout(() => timeout.abort(), patienceMs);
  try {
    if (wish.kind === 'log') await untilLogged(containers, name, wish.pattern, timeout.signal);
    else await untilDaemonSays(containers, name, wish.condition, timeout.signal);
  } catch (error) {
    if (!timeout.signal.aborted) throw error;
    throw new CliError(`timed out after ${(patienceMs ?? 0) / 1000} s: container ${name} is not ${shown(wish)} yet`, 1, { cause: error });
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

async function untilDaemonSays(containers: ContainerApi, name: string, condition: WaitCondition, signal: AbortSignal): Promise<void> {
  const { exit } = await containers.wait(name, condition, signal);
  const { Error: failure } = await exit;
  if (failure) throw new CliError(failure.Message ?? `container ${name} is not ready`);
}

async function untilLogged(containers: ContainerApi, name: string, pattern: RegExp, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const { Id, State, Config } = await containers.inspect(name);
    if (!State.Running) throw new CliError(`container ${name} is not running, and its log has no line that matches ${pattern}`);
    const since = String((Date.parse(State.StartedAt) - stampMarginMs) / 1000);
    const query = { stdout: true, stderr: true, follow: true, timestamps: false, details: false, since, until: '', tail: '' };
    const { stream, framed } = await containers.logs(Id, query, Config.Tty);
    if (await hasLine(stream, framed, pattern, signal)) return;
    // It ended; its policy may start it again.
    await sleep(restartPauseMs, undefined, { signal });
  }
}

async function hasLine(stream: Readable, framed: boolean, pattern: RegExp, signal: AbortSignal): Promise<boolean> {
  const texts = new Map<number, string>();
  let found = false;
  const take = (source: number, bytes: Buffer): void => {
    const lines = ((texts.get(source) ?? '') + bytes.toString('latin1')).split('\n');
    texts.set(source, lines.pop() ?? '');
    found ||= lines.some((line) => pattern.test(Buffer.from(line, 'latin1').toString()));
  };
  const frames = new FrameDecoder(take);
  const leave = (): void => void stream.destroy();
  signal.addEventListener('abort', leave, { once: true });
  try {
    for await (const bytes of stream as AsyncIterable<Buffer>) {
      if (framed) frames.push(bytes);
      else take(0, bytes);
      if (found) return true;
    }
    // A last line without its end counts as well.
    return [...texts.values()].some((rest) => rest !== '' && pattern.test(Buffer.from(rest, 'latin1').toString()));
  } finally {
    signal.removeEventListener('abort', leave);
    stream.destroy();
  }
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new CliError(`invalid condition: log=${text}: ${errorMessage(error)}`, 1, { cause: error });
  }
}

function shown(wish: Wish): string {
  if (wish.kind === 'log') return `logging a line that matches ${wish.pattern}`;
  return wish.condition === 'healthy' ? 'healthy' : `listening on ${wish.condition.replace('=', ' ')}`;
}
