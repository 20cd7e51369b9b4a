/** `--ssh default|ID[=SOCKET|KEY[,KEY]]`: the agent that RUN --mount=type=ssh reaches. */
export interface SshOption {
  readonly id: string;
  /** Empty: the agent of SSH_AUTH_SOCK. A socket, or files of keys. */
  readonly paths: readonly string[];
}

export function parseSsh(text: string): SshOption {
  const equals = text.indexOf('=');
  const id = equals === -1 ? text : text.slice(0, equals);
  if (id === '') throw new Error('write default, or ID=SOCKET, or ID=KEY');
  const paths =
    equals === -1
      ? []
      : text
          .slice(equals + 1)
          .split(',')
          .filter((path) => path !== '');
  return { id, paths };
}
