/** Docker's booleans in query parameters: absent, empty, `0`, `no`, `false` and `none` are false in any case; every other text is true. */
const falseTexts = new Set(['', '0', 'no', 'false', 'none']);

export function parseDockerBoolean(text: string | null | undefined): boolean {
  return text !== null && text !== undefined && !falseTexts.has(text.trim().toLowerCase());
}

/** For parameters whose absence means true, like `rm` of a build. */
export function parseDockerBooleanOr(text: string | null | undefined, whenAbsent: boolean): boolean {
  return text === null || text === undefined || text === '' ? whenAbsent : parseDockerBoolean(text);
}
