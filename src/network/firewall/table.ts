/**
 * Our table. Its rules never change; what changes with networks, containers and ports is elements of its sets and maps (`table-elements.ts`), so a
 * published port costs one element and a packet the same few look-ups whether there are two containers or a thousand.
 *
 * Every rule stands beside its text in nft's language; `firewall.test.ts` of test/kernel compares the two by `nft list table`.
 *
 *     raw            nobody but the host itself speaks from or to 127.0.0.0/8: the bridges have route_localnet, and a rewritten destination would pass
 *     pre, out       what comes to an address of this host is looked up in the published ports
 *     post           source addresses: hairpin, loopback, then the networks' way out
 *     host           containers of internal networks do not reach the host (the host reaches them); under `hardened` none reaches more of it than DNS
 *     forward        guard: into our bridges comes what was answered for, published, or allowed by the gateway mode; sealed: nothing passes
 *     marking        for hosts whose own forward chain drops: one rule of theirs can accept our traffic by its mark (`foreign-forward.ts`)
 */
import { type ChainDefinition, type RuleDefinition, rule, type SetDefinition } from '../../linux/nftables/batch.ts';
import {
  accept,
  connectionIsDnat,
  connectionState,
  dnatByMap,
  drop,
  goBack,
  goto,
  icmpv6Types,
  iifname,
  inSet,
  interfaceName,
  ip6Daddr,
  ip6Saddr,
  ipDaddr,
  ipSaddr,
  jump,
  l4proto,
  masquerade,
  match,
  matchAny,
  matchFamily,
  matchLeadingBytes,
  notMatch,
  oifname,
  port,
  protocol,
  setMarkBits,
  snatByMap,
  thDport,
  toThisHost,
  verdictMap,
} from '../../linux/nftables/expressions.ts';

/** Raised whenever the text below changes: a table of another version is replaced, not completed. */
export const tableVersion = 1;

/** Of our packets, for one rule in a foreign chain. Only these bits; only while such a chain exists. */
export const forwardMark = { value: 0x77, mask: 0xff } as const;

export type SetName =
  | 'bridges'
  | 'internal'
  | 'hairpin'
  | 'self4'
  | 'self6'
  | 'published4'
  | 'published4any'
  | 'published6'
  | 'published6any'
  | 'masquerade4'
  | 'masquerade6'
  | 'source4'
  | 'source6'
  | 'pairs'
  | 'ingress4'
  | 'ingress6'
  | 'opened4'
  | 'opened6'
  | 'marked';

export interface TableText {
  readonly sets: readonly (SetDefinition & { readonly name: SetName })[];
  readonly chains: readonly (ChainDefinition & { readonly rules: readonly RuleDefinition[] })[];
}

/** Without IPv6 (`--ip6tables=false`) packets of that family pass untouched. `dnsOnly`: of the host, containers reach nothing else. */
export function tableText(ipv6: boolean, dnsOnly: boolean): TableText {
  const toHost = dnsOnly ? [...hostRules, ...dnsOnlyRules] : hostRules;
  return {
    sets: [
      { name: 'bridges', key: ['ifname'] },
      { name: 'internal', key: ['ifname'] },
      { name: 'hairpin', key: ['ifname', 'ifname'] },
      { name: 'self4', key: ['ipv4_addr', 'ipv4_addr'] },
      { name: 'self6', key: ['ipv6_addr', 'ipv6_addr'] },
      // Two maps, not one with intervals: an exact address beside "any address" for the same port would overlap.
      { name: 'published4', key: ['ipv4_addr', 'inet_proto', 'inet_service'], data: ['ipv4_addr', 'inet_service'] },
      { name: 'published4any', key: ['inet_proto', 'inet_service'], data: ['ipv4_addr', 'inet_service'] },
      { name: 'published6', key: ['ipv6_addr', 'inet_proto', 'inet_service'], data: ['ipv6_addr', 'inet_service'] },
      { name: 'published6any', key: ['inet_proto', 'inet_service'], data: ['ipv6_addr', 'inet_service'] },
      { name: 'masquerade4', key: ['ifname'] },
      { name: 'masquerade6', key: ['ifname'] },
      { name: 'source4', key: ['ifname'], data: ['ipv4_addr'] },
      { name: 'source6', key: ['ifname'], data: ['ipv6_addr'] },
      { name: 'pairs', key: ['ifname', 'ifname'], data: 'verdict' },
      { name: 'ingress4', key: ['ifname'], data: 'verdict' },
      { name: 'ingress6', key: ['ifname'], data: 'verdict' },
      { name: 'opened4', key: ['ipv4_addr', 'inet_proto', 'inet_service'] },
      { name: 'opened6', key: ['ipv6_addr', 'inet_proto', 'inet_service'] },
      { name: 'marked', key: ['ifname'] },
    ],
    chains: [
      { name: 'raw', base: { type: 'filter', hook: 'prerouting', priority: -300 }, rules: rawRules },
      { name: 'pre', base: { type: 'nat', hook: 'prerouting', priority: -100 }, rules: publishRules },
      { name: 'out', base: { type: 'nat', hook: 'output', priority: -100 }, rules: publishRules },
      { name: 'publish', rules: ipv6 ? [...publish4, ...publish6] : publish4 },
      {
        name: 'post',
        base: { type: 'nat', hook: 'postrouting', priority: 100 },
        rules: ipv6 ? sourceRules : [rule(matchFamily('ip6'), accept), ...sourceRules],
      },
      {
        name: 'host',
        base: { type: 'filter', hook: 'input', priority: 0 },
        rules: ipv6 ? toHost : [rule(matchFamily('ip6'), accept), ...toHost],
      },
      { name: 'sealed_host', rules: sealedHostRules },
      { name: 'marking', base: { type: 'filter', hook: 'forward', priority: -500 }, rules: markRules },
      {
        name: 'forward',
        base: { type: 'filter', hook: 'forward', priority: 0 },
        rules: ipv6 ? forwardRules : [rule(matchFamily('ip6'), accept), ...forwardRules],
      },
      { name: 'sealed', rules: sealedRules },
      { name: 'guard', rules: guardRules },
      { name: 'unprotected', rules: unprotectedRules },
      { name: 'routed', rules: routedRules },
      { name: 'opened', rules: openedRules },
    ],
  };
}

const loopback = interfaceName('lo');
const rawRules = [
  // iifname != "lo" ip daddr 127.0.0.0/8 drop
  rule(notMatch(iifname, loopback), matchLeadingBytes(ipDaddr, 127), drop),
  // iifname != "lo" ip saddr 127.0.0.0/8 drop
  rule(notMatch(iifname, loopback), matchLeadingBytes(ipSaddr, 127), drop),
];

const publishRules = [
  // fib daddr type local jump publish
  rule(toThisHost, jump('publish')),
];

/** nft, when it reads its own listing again, wants the protocol asked before `th dport`. */
const withPorts = matchAny(l4proto, 'inet_proto', [protocol('tcp'), protocol('udp'), protocol('sctp')]);
const publish4 = [
  // meta l4proto { tcp, udp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @published4
  rule(withPorts, dnatByMap('ip', [ipDaddr, l4proto, thDport], 'published4')),
  // meta l4proto { tcp, udp, sctp } meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published4any
  rule(withPorts, dnatByMap('ip', [l4proto, thDport], 'published4any')),
];
const publish6 = [
  // ip6 daddr ::1 return; ip6 daddr fe80::/16 return: such packets cannot leave for a bridge, so they go to the proxy, or are refused
  rule(match(ip6Daddr, Buffer.from('00000000000000000000000000000001', 'hex')), goBack),
  rule(matchLeadingBytes(ip6Daddr, 0xfe, 0x80), goBack),
  // meta l4proto { tcp, udp, sctp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6
  rule(withPorts, dnatByMap('ip6', [ip6Daddr, l4proto, thDport], 'published6')),
  // meta l4proto { tcp, udp, sctp } meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @published6any
  rule(withPorts, dnatByMap('ip6', [l4proto, thDport], 'published6any')),
];

const sourceRules = [
  // A container that calls its own published port must not see itself as the client. By address, since a bridged packet has no iifname here.
  // ct status dnat ip saddr . ip daddr @self4 masquerade
  rule(connectionIsDnat, inSet([ipSaddr, ipDaddr], 'self4'), masquerade),
  // ct status dnat ip6 saddr . ip6 daddr @self6 masquerade
  rule(connectionIsDnat, inSet([ip6Saddr, ip6Daddr], 'self6'), masquerade),
  // The host, by 127.0.0.1:port.
  // ct status dnat oifname @bridges ip saddr 127.0.0.0/8 masquerade
  rule(connectionIsDnat, inSet([oifname], 'bridges'), matchLeadingBytes(ipSaddr, 127), masquerade),
  // A neighbour on the same bridge: its answer would go straight back, past the rewriting.
  // ct status dnat iifname . oifname @hairpin masquerade
  rule(connectionIsDnat, inSet([iifname, oifname], 'hairpin'), masquerade),
  // Between containers addresses are kept.
  // oifname @bridges accept
  rule(inSet([oifname], 'bridges'), accept),
  // meta nfproto ipv4 snat ip to iifname map @source4
  rule(snatByMap('ip', [iifname], 'source4')),
  // meta nfproto ipv6 snat ip6 to iifname map @source6
  rule(snatByMap('ip6', [iifname], 'source6')),
  // meta nfproto ipv4 iifname @masquerade4 masquerade
  rule(matchFamily('ip'), inSet([iifname], 'masquerade4'), masquerade),
  // meta nfproto ipv6 iifname @masquerade6 masquerade
  rule(matchFamily('ip6'), inSet([iifname], 'masquerade6'), masquerade),
];

const hostRules = [
  // iifname @internal goto sealed_host
  rule(inSet([iifname], 'internal'), goto('sealed_host')),
];
const dnsOnlyRules = [
  // iifname @bridges meta l4proto { tcp, udp } th dport 53 accept
  rule(inSet([iifname], 'bridges'), matchAny(l4proto, 'inet_proto', [protocol('tcp'), protocol('udp')]), match(thDport, port(53)), accept),
  // iifname @bridges goto sealed_host
  rule(inSet([iifname], 'bridges'), goto('sealed_host')),
];
const sealedHostRules = [
  // Answers to what the host asked.
  // ct state established,related accept
  rule(connectionState('established', 'related'), accept),
  // icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  rule(match(l4proto, protocol('icmpv6')), icmpv6Types(135, 136), accept),
  // drop
  rule(drop),
];

const markRules = [
  // iifname @marked meta mark set meta mark & 0xffffff77 | 0x00000077
  rule(inSet([iifname], 'marked'), setMarkBits(forwardMark.value, forwardMark.mask)),
  // oifname @marked meta mark set meta mark & 0xffffff77 | 0x00000077
  rule(inSet([oifname], 'marked'), setMarkBits(forwardMark.value, forwardMark.mask)),
];

const forwardRules = [
  // iifname @internal goto sealed
  rule(inSet([iifname], 'internal'), goto('sealed')),
  // oifname @internal goto sealed
  rule(inSet([oifname], 'internal'), goto('sealed')),
  // iifname @bridges goto guard
  rule(inSet([iifname], 'bridges'), goto('guard')),
  // oifname @bridges goto guard
  rule(inSet([oifname], 'bridges'), goto('guard')),
];

/** Nothing passes, not even what was published or answered for, but within the bridge (seen here where br_netfilter is on). */
const sealedRules = [
  // iifname . oifname vmap @pairs
  rule(verdictMap([iifname, oifname], 'pairs')),
  // drop
  rule(drop),
];

/** What comes to its end goes out of a bridge: accepted. */
const guardRules = [
  // ct state established,related accept
  rule(connectionState('established', 'related'), accept),
  // ct status dnat accept
  rule(connectionIsDnat, accept),
  // iifname . oifname vmap @pairs
  rule(verdictMap([iifname, oifname], 'pairs')),
  // meta nfproto ipv4 oifname vmap @ingress4
  rule(matchFamily('ip'), verdictMap([oifname], 'ingress4')),
  // meta nfproto ipv6 oifname vmap @ingress6
  rule(matchFamily('ip6'), verdictMap([oifname], 'ingress6')),
];

/** Gateway mode `nat-unprotected`: from outside everything, from other networks only what is published. */
const unprotectedRules = [
  // iifname @bridges drop
  rule(inSet([iifname], 'bridges'), drop),
];

/** Gateway mode `routed`: published container ports, by their own address. */
const routedRules = [
  // meta l4proto { icmp, ipv6-icmp } accept
  rule(matchAny(l4proto, 'inet_proto', [protocol('icmp'), protocol('icmpv6')]), accept),
  // goto opened
  rule(goto('opened')),
];
const openedRules = [
  // ip daddr . meta l4proto . th dport @opened4 accept
  rule(inSet([ipDaddr, l4proto, thDport], 'opened4'), accept),
  // ip6 daddr . meta l4proto . th dport @opened6 accept
  rule(inSet([ip6Daddr, l4proto, thDport], 'opened6'), accept),
  // drop
  rule(drop),
];
