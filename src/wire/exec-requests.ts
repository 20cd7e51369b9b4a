/** Bodies of `POST /containers/ID/exec` and `POST /exec/ID/start`. */
import Type from 'typebox';
import { invalid } from '../base/errors.ts';
import { decoderOf, StringList, Words } from './decode.ts';

const ConsoleSizeSchema = Type.Array(Type.Integer({ minimum: 0, maximum: 65535 }), { minItems: 2, maxItems: 2 });

const decodeCreate = decoderOf(
  Type.Object({
    User: Type.Optional(Type.String()),
    Privileged: Type.Optional(Type.Boolean()),
    Tty: Type.Optional(Type.Boolean()),
    ConsoleSize: Type.Optional(ConsoleSizeSchema),
    AttachStdin: Type.Optional(Type.Boolean()),
    AttachStdout: Type.Optional(Type.Boolean()),
    AttachStderr: Type.Optional(Type.Boolean()),
    DetachKeys: Type.Optional(Type.String()),
    Env: Type.Optional(StringList),
    WorkingDir: Type.Optional(Type.String()),
    Cmd: Type.Optional(Words),
  }),
);

export function decodeCreateExec(body: unknown, apiMinor: number) {
  const request = decodeCreate(body);
  if ((request.Cmd ?? []).length === 0) throw invalid('No exec command specified');
  const size = apiMinor < 42 ? null : consoleSize(request.ConsoleSize);
  return {
    User: request.User ?? '',
    Privileged: request.Privileged ?? false,
    Tty: request.Tty ?? false,
    ...(size === null ? {} : { ConsoleSize: size }),
    AttachStdin: request.AttachStdin ?? false,
    AttachStdout: request.AttachStdout ?? false,
    AttachStderr: request.AttachStderr ?? false,
    DetachKeys: request.DetachKeys ?? '',
    Env: request.Env ?? [],
    WorkingDir: request.WorkingDir ?? '',
    Cmd: request.Cmd ?? [],
  };
}

const decodeStart = decoderOf(
  Type.Object({
    Detach: Type.Optional(Type.Boolean()),
    Tty: Type.Optional(Type.Boolean()),
    ConsoleSize: Type.Optional(ConsoleSizeSchema),
  }),
);

export function decodeStartExec(body: unknown, apiMinor: number) {
  const request = decodeStart(body);
  return {
    detach: request.Detach ?? false,
    tty: request.Tty ?? false,
    consoleSize: apiMinor < 42 ? null : consoleSize(request.ConsoleSize),
  };
}

function consoleSize(size: readonly number[] | undefined): [number, number] | null {
  const [rows = 0, columns = 0] = size ?? [];
  return rows === 0 && columns === 0 ? null : [rows, columns];
}
