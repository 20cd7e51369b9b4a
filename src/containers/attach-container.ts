/** `docker attach`, before the start (the usual case: the process's first byte is seen) and while it runs. */
import type { AttachRequest } from '../runtime/runtime.ts';
import type { Container, WaitingAttachment } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import type { Running } from './container-state.ts';
import type { AttachOptions, AttachSession } from './containers.ts';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { logPlan } from './log-config.ts';
import { readLogs } from './read-logs.ts';
import { StdioRelay } from './stdio-relay.ts';

export async function attachContainer(context: ContainerContext, container: Container, options: AttachOptions): Promise<AttachSession> {
  const tty = container.config.Tty;
  const stdin = options.stream && options.stdin && container.config.OpenStdin;
  const keys = parseDetachKeys(options.detachKeys);
  const relay = new StdioRelay({
    stdin,
    detach: tty && stdin ? new DetachScanner(keys) : null,
    onDetach: () => context.events.emit('detach', container),
    ended: null,
  });
  const request: AttachRequest = { stdin, stdout: options.stdout, stderr: options.stderr };
  if (!options.stream) void replayLogs(container, relay, options).then(() => relay.finish());
  else if (container.state.status === 'running') await attachRunning(container, container.state, relay, request, options);
  else attachWaiting(container, { relay, request, replayed: replayLogs(container, relay, options) });
  context.events.emit('attach', container);
  return { tty, stream: relay };
}

/** The live stream is opened before the log is read, so that nothing is missed between them. */
async function attachRunning(
  container: Container,
  running: Running,
  relay: StdioRelay,
  request: AttachRequest,
  options: AttachOptions,
): Promise<void> {
  const live = await running.process.attach(request);
  void replayLogs(container, relay, options).then(() => relay.connect(live));
  trackStream(container, running, relay, request);
}

function attachWaiting(container: Container, attachment: WaitingAttachment): void {
  container.waitingAttachments.add(attachment);
  attachment.relay.once('close', () => container.waitingAttachments.delete(attachment));
}

/** The run's end waits for the client to have its output, and a client that vanishes takes a stdin that was only its own with it. */
export function trackStream(container: Container, running: Running, relay: StdioRelay, request: AttachRequest): void {
  if (relay.destroyed) return;
  running.streams.add(relay);
  relay.once('close', () => {
    running.streams.delete(relay);
    const { StdinOnce: once, Tty: tty } = container.config;
    if (!request.stdin || !once || tty || relay.inputEnded || container.state !== running) return;
    // The process may be gone by now, and then nobody's stdin is left to close.
    running.process.closeStdin().catch(() => {});
  });
}

async function replayLogs(container: Container, relay: StdioRelay, options: AttachOptions): Promise<void> {
  if (!options.logs || !(options.stdout || options.stderr) || !logPlan(container.hostConfig.LogConfig).readable) return;
  const everything = { follow: false, timestamps: false, details: false, since: null, until: null, tail: null };
  const { stream } = readLogs(container, { stdout: options.stdout, stderr: options.stderr, ...everything }, new AbortController().signal);
  await relay.replay(stream);
}
