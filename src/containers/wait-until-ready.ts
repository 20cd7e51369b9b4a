/**
 * Beyond Docker: waits until a container is ready for others: its health check says so, or somebody in it listens on a port.
 *
 * The state is looked at after the events are listened to, so nothing is missed between. A container that ends, or that its check calls unhealthy, will not be
 * ready: that ends the wait, with an error. One that its policy restarts may still become it.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { invalid } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { isUp } from './container-state.ts';
import type { Readiness, WaitResult } from './containers.ts';
import { isListening } from './listening-ports.ts';

const portPauseMs = 100;
const ready: WaitResult = { statusCode: 0, error: null };

export async function waitUntilReady(
  context: ContainerContext,
  container: Container,
  readiness: Readiness,
  signal: AbortSignal,
): Promise<WaitResult> {
  if (readiness.kind === 'listening') return await waitForPort(container, readiness, signal);
  if (container.state.status === 'running' && container.health === null) {
    throw invalid(`container ${container.name} has no health check: wait for log=REGEX or port=N, or run it with --health-cmd`);
  }
  return await waitForHealth(context, container, signal);
}

async function waitForHealth(context: ContainerContext, container: Container, signal: AbortSignal): Promise<WaitResult> {
  const { promise, resolve, reject } = Promise.withResolvers<WaitResult>();
  const look = (): void => {
    const outcome = ended(container, 'healthy') ?? healthOf(container);
    if (outcome !== null) resolve(outcome);
  };
  const stopListening = context.events.listen(({ id }) => {
    if (id === container.id) look();
  });
  const leave = (): void => reject(signal.reason);
  signal.addEventListener('abort', leave, { once: true });
  try {
    signal.throwIfAborted();
    look();
    return await promise;
  } finally {
    stopListening();
    signal.removeEventListener('abort', leave);
  }
}

function healthOf({ state, storedEnd, health, name }: Container): WaitResult | null {
  // One that is ending is called unhealthy, but that is not why: its end is told next.
  if (state.status !== 'running' || storedEnd !== null || health === null) return null;
  if (health.status === 'healthy') return ready;
  if (health.status !== 'unhealthy') return null;
  const output = health.log.at(-1)?.output.trim() ?? '';
  return { statusCode: 1, error: `container ${name} is unhealthy${output === '' ? '' : `: ${output}`}` };
}

/** What listens is asked of the kernel: nobody is connected to, and it does not matter on which address it listens. */
async function waitForPort(
  container: Container,
  { port, protocol }: Extract<Readiness, { readonly kind: 'listening' }>,
  signal: AbortSignal,
): Promise<WaitResult> {
  for (;;) {
    signal.throwIfAborted();
    const outcome = ended(container, `listening on port ${port}/${protocol}`);
    if (outcome !== null) return outcome;
    const { state } = container;
    if (state.status === 'running' && (await listens(state.process.pid, port, protocol)) && container.state === state) return ready;
    await sleep(portPauseMs, undefined, { signal });
  }
}

async function listens(pid: number, port: number, protocol: 'tcp' | 'udp'): Promise<boolean> {
  const tables = [protocol, `${protocol}6`].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8').catch(() => ''));
  return (await Promise.all(tables)).some((table) => isListening(table, port, protocol));
}

function ended({ state, name }: Container, wish: string): WaitResult | null {
  if (isUp(state)) return null;
  if (state.status === 'created') return { statusCode: 1, error: `container ${name} is not running` };
  const { exitCode } = state.last;
  return { statusCode: exitCode === 0 ? 1 : exitCode, error: `container ${name} exited (${exitCode}) before it was ${wish}` };
}
