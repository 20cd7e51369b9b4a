/** The host as a router, switched on only when a network needs it and only where it is off. It stays on: others may have come to rely on it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hasErrnoCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

const ipv4 = '/proc/sys/net/ipv4/ip_forward';
const ipv6Directory = '/proc/sys/net/ipv6/conf';

export function enableForwarding(family: 4 | 6, log: Logger): void {
  if (family === 4) {
    if (read(ipv4) !== '0') return;
    writeFileSync(ipv4, '1');
  } else {
    if (read(`${ipv6Directory}/all/forwarding`) !== '0') return;
    keepRouterAdvertisements();
    writeFileSync(`${ipv6Directory}/all/forwarding`, '1');
  }
  log.info({ family }, `forwarding of IPv${family} packets was off on this host; switched on for container networks`);
}

/** A router ignores advertisements unless told to listen all the same (2); the host would lose its default route when the last one expires. */
function keepRouterAdvertisements(): void {
  for (const name of readdirSync(ipv6Directory)) {
    const path = `${ipv6Directory}/${name}/accept_ra`;
    // `all` and `default` are no interfaces; what is made later is made by somebody who knows the host to be a router.
    if (name !== 'all' && name !== 'default' && read(path) === '1') writeFileSync(path, '2');
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (thrown) {
    // The kernel lacks the family, or the interface has just gone.
    if (hasErrnoCode(thrown, 'ENOENT')) return '';
    throw thrown;
  }
}
