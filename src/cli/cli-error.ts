/** How a command ends badly, in words and as an exit code. */

/** An error for the person at the keyboard; `message` is printed as it is (the command's name is put before it where Docker does). */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;
  /** Printed without the command's name even by `run`, as Docker prints what it finds out before it does anything. */
  readonly plain: boolean;
  constructor(message: string, exitCode = 1, options?: { readonly cause?: unknown; readonly plain?: boolean }) {
    super(message, options);
    this.exitCode = exitCode;
    this.plain = options?.plain ?? false;
  }
}

/** Wrong flags or arguments: the usage line is printed under the message. */
export class UsageError extends CliError {
  /** Docker prefixes complaints about arguments and commands with its name, those about flags not. */
  readonly prefixed: boolean;
  constructor(message: string, exitCode: number, prefixed: boolean) {
    super(message, exitCode);
    this.prefixed = prefixed;
  }
}

/** Nothing to say, only a code: the message was printed already, or the container's own exit code is passed on. */
export class ExitWithCode extends Error {
  override readonly name = 'ExitWithCode';
  readonly exitCode: number;
  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}
