/**
 * Inside a container's namespace: what is sent to 127.0.0.11 port 53 goes to the ports on which its resolver sockets listen. An own port 53 there would take
 * it from programs that listen on every address.
 */
import { type BatchMessage, NETLINK_NETFILTER, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { NftBatch, rule } from '../../linux/nftables/batch.ts';
import { dnatTo, ipDaddr, l4proto, match, NFPROTO_IPV4, port, protocol, thDport } from '../../linux/nftables/expressions.ts';
import { listTables } from '../../linux/nftables/ruleset.ts';

const table = 'gantry_dns';
const dnsAddress = Buffer.from([127, 0, 0, 11]);
const dnsPort = 53;

/** Call it in a window of the namespace. Made anew when it is there: ports may be others after a restart. */
export function installDnsRedirect(udpPort: number, tcpPort: number): void {
  const socket = openNetlink(NETLINK_NETFILTER);
  try {
    // The kernel frees what was deleted only after a grace period, and closing the socket waits for that (20 ms): in a new namespace nothing is deleted.
    const replace = listTables(socket).some(({ family, name }) => family === NFPROTO_IPV4 && name === table);
    socket.sendBatch(messagesFor(udpPort, tcpPort, replace), 'redirect DNS inside a container');
  } finally {
    socket.close();
  }
}

/** The last ones: most namespaces get the same ports, and encoding takes longer than sending. */
let lastMessages: { readonly key: string; readonly messages: readonly BatchMessage[] } | null = null;

function messagesFor(udpPort: number, tcpPort: number, replace: boolean): readonly BatchMessage[] {
  const key = `${udpPort} ${tcpPort} ${replace}`;
  if (lastMessages?.key !== key) lastMessages = { key, messages: redirectBatch(udpPort, tcpPort, replace).messages };
  return lastMessages.messages;
}

/**
 *     table ip gantry_dns {
 *       chain output {
 *         type nat hook output priority -100; policy accept;
 *         ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:UDP
 *         ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:TCP
 */
export function redirectBatch(udpPort: number, tcpPort: number, replace: boolean): NftBatch {
  const batch = new NftBatch(NFPROTO_IPV4, table);
  if (replace) batch.deleteTable();
  batch.addTable(0, '').addChain({ name: 'output', base: { type: 'nat', hook: 'output', priority: -100 } });
  for (const [transport, toPort] of [
    ['udp', udpPort],
    ['tcp', tcpPort],
  ] as const) {
    const toUs = [match(ipDaddr, dnsAddress), match(l4proto, protocol(transport)), match(thDport, port(dnsPort))];
    batch.appendRule('output', rule(...toUs, dnatTo('ip', dnsAddress, toPort)));
  }
  return batch;
}
