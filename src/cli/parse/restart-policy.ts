/** `no`, `always`, `unless-stopped`, `on-failure[:5]` */
export interface RestartPolicy {
  readonly Name: string;
  readonly MaximumRetryCount: number;
}

export function parseRestartPolicy(text: string): RestartPolicy {
  const colon = text.indexOf(':');
  const name = colon === -1 ? text : text.slice(0, colon);
  const count = colon === -1 ? undefined : text.slice(colon + 1);
  if (count !== undefined && name === '') throw new Error('invalid restart policy format: no policy provided before colon');
  if (count !== undefined && !/^-?\d+$/.test(count))
    throw new Error('invalid restart policy format: maximum retry count must be an integer');
  return { Name: name, MaximumRetryCount: Number(count ?? 0) };
}
