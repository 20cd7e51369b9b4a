/**
 * Inside a container's namespace: what is sent to 127.0.0.11 port 53 goes to the ports on which its resolver sockets listen. An own port 53 there would take
 * it from programs that listen on every address.
 */
import { NETLINK_NETFILTER, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { NftBatch, rule } from '../../linux/nftables/batch.ts';
import { dnatTo, ipDaddr, l4proto, match, NFPROTO_IPV4, port, protocol, thDport } from '../../linux/nftables/expressions.ts';

const table = 'gantry_dns';
const dnsAddress = Buffer.from([127, 0, 0, 11]);
const dnsPort = 53;

/** Call it in a window of the namespace. Made anew when it is there: ports may be others after a restart. */
export function installDnsRedirect(udpPort: number, tcpPort: number): void {
  const socket = openNetlink(NETLINK_NETFILTER);
  try {
    socket.sendBatch(redirectBatch(udpPort, tcpPort).messages, 'redirect DNS inside a container');
  } finally {
    socket.close();
  }
}

/**
 *     table ip gantry_dns {
 *       chain output {
 *         type nat hook output priority -100; policy accept;
 *         ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:UDP
 *         ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:TCP
 */
export function redirectBatch(udpPort: number, tcpPort: number): NftBatch {
  const batch = new NftBatch(NFPROTO_IPV4, table)
    // So that the delete finds one.
    .addTable(0, '')
    .deleteTable()
    .addTable(0, '')
    .addChain({ name: 'output', base: { type: 'nat', hook: 'output', priority: -100 } });
  for (const [transport, toPort] of [
    ['udp', udpPort],
    ['tcp', tcpPort],
  ] as const) {
    const toUs = [match(ipDaddr, dnsAddress), match(l4proto, protocol(transport)), match(thDport, port(dnsPort))];
    batch.appendRule('output', rule(...toUs, dnatTo('ip', dnsAddress, toPort)));
  }
  return batch;
}
