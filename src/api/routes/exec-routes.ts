/** Exec: make, start, resize, inspect. A started one is a hijacked stream, like attach. */

import { errorText } from '../../base/errors.ts';
import type { AttachSession, ExecView } from '../../containers/containers.ts';
import { decodeCreateExec, decodeStartExec } from '../../wire/exec-requests.ts';
import { encodeFrame, stdoutStream, streamContentType } from '../../wire/stream-frames.ts';
import type { Exchange } from '../exchange.ts';
import { relay } from '../hijack.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';
import { terminalSize } from './container-routes.ts';

export function execRoutes(services: ApiServices): readonly Route[] {
  const { containers } = services;
  return [
    {
      method: 'POST',
      pattern: '/containers/{id}/exec',
      body: 'json',
      async handle(exchange) {
        const config = decodeCreateExec(await exchange.json(), exchange.apiMinor);
        exchange.sendJson(201, { Id: await containers.createExec(exchange.parameter('id'), config) });
      },
    },
    { method: 'POST', pattern: '/exec/{id}/start', body: 'json', hijack: true, handle: (exchange) => startExec(exchange, services) },
    {
      method: 'POST',
      pattern: '/exec/{id}/resize',
      body: 'any',
      async handle(exchange) {
        const { rows, columns } = terminalSize(exchange);
        await containers.resizeExec(exchange.parameter('id'), rows, columns);
        exchange.sendEmpty(200);
      },
    },
    {
      method: 'GET',
      pattern: '/exec/{id}/json',
      body: 'any',
      handle: async (exchange) => exchange.sendJson(200, execJson(containers.inspectExec(exchange.parameter('id')))),
    },
  ];
}

async function startExec(exchange: Exchange, { containers, hasHungUp }: ApiServices): Promise<void> {
  const id = exchange.parameter('id');
  const options = decodeStartExec(await exchange.json(), exchange.apiMinor);
  const { config } = containers.inspectExec(id);
  let session: AttachSession | null;
  try {
    session = await containers.startExec(id, options);
  } catch (error) {
    if (options.detach || !failedToRun(containers.inspectExec(id))) throw error;
    // Docker's way since it cannot take back a 101: the reason is output, and the exit code is in the exec.
    sayOnStream(exchange, config.Tty, `${errorText(error)}\r\n`);
    return;
  }
  if (session === null) {
    exchange.sendEmpty(200);
    return;
  }
  await relay(exchange.hijack(streamContentType(exchange.apiMinor, session.tty)), session.stream, hasHungUp);
}

/** The exec was tried and has its exit code (126, 127); other refusals (unknown, already run, container stopped) are errors of the request. */
function failedToRun({ running, exitCode }: ExecView): boolean {
  return !running && exitCode !== null;
}

function sayOnStream(exchange: Exchange, tty: boolean, text: string): void {
  const { stream: client } = exchange.hijack(streamContentType(exchange.apiMinor, tty));
  client.on('error', () => client.destroy());
  client.resume();
  client.end(tty ? text : encodeFrame(stdoutStream, Buffer.from(text)));
}

function execJson({ id, containerId, running, exitCode, pid, config, canRemove }: ExecView): object {
  const [entrypoint = '', ...args] = config.Cmd;
  return {
    ID: id,
    Running: running,
    ExitCode: exitCode,
    ProcessConfig: {
      tty: config.Tty,
      entrypoint,
      arguments: args,
      privileged: config.Privileged,
      ...(config.User === '' ? {} : { user: config.User }),
    },
    OpenStdin: config.AttachStdin,
    OpenStderr: config.AttachStderr,
    OpenStdout: config.AttachStdout,
    CanRemove: canRemove,
    ContainerID: containerId,
    DetachKeys: config.DetachKeys,
    Pid: pid,
  };
}
