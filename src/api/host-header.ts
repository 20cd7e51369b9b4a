/**
 * Which `Host` a request on a TCP listener may name (SECURITY.md row 30). A web page whose name was made to lead here (DNS rebinding) comes with its own name, so names
 * are ours or refused; an address literal cannot be rebound. On unix sockets clients write what they like (`docker`, `api.moby.localhost`).
 */
import { isIP } from 'node:net';

export function isForeignHost(header: string | undefined, ownNames: ReadonlySet<string>): boolean {
  // HTTP/1.0 has none, and no browser speaks it.
  if (header === undefined) return false;
  const name = nameOf(header);
  return name !== '' && isIP(name) === 0 && name !== 'localhost' && !ownNames.has(name);
}

function nameOf(header: string): string {
  const bracketed = /^\[(.*)\](?::\d+)?$/.exec(header);
  if (bracketed !== null) return bracketed[1] ?? '';
  return header.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase();
}
