/** Whether an address is a container's, as a server on the host sees it. */
import { contains, parseAddress } from './ip-address.ts';
import { type NetworkRegistry, storedSubnet } from './network-registry.ts';

/** `::ffff:172.17.0.2` is how a socket of both families shows an IPv4 client. The bridge's own address is the host's. */
export function isContainerAddress(registry: NetworkRegistry, text: string): boolean {
  const plain = text.replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '');
  const address = parseAddress(plain);
  if (address === null) return false;
  return registry
    .all()
    .filter(({ record }) => record.driver === 'bridge')
    .some(({ record: { v4, v6 } }) =>
      [v4, v6].some((family) => family !== null && family.gateway !== plain && contains(storedSubnet(family.subnet), address)),
    );
}
