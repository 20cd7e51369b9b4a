/** What the kernel's rule set holds: tables, chains, rules and elements, read by dumps. */
import { AttributeWriter, listAttributes, numberOfBigEndian, parseAttributes, textOf } from '../netlink/message.ts';
import { type NetlinkSocket, NFNL_SUBSYS_NFTABLES } from '../netlink/netlink-socket.ts';
import { elementsQuery, parseData, parseElements, type SetElement } from './elements.ts';
import { NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6, type Verdict } from './expressions.ts';

const GETTABLE = 1;
const GETCHAIN = 4;
const GETRULE = 7;
const GETSET = 10;
const GETSETELEM = 13;
const GETGEN = 16;

const nfgenmsgLength = 4;
const NFPROTO_UNSPEC = 0;

export interface TableInfo {
  readonly family: number;
  readonly name: string;
  readonly flags: number;
  /** Port of the socket that owns it; 0: nobody. */
  readonly owner: number;
  readonly comment: string;
}

export interface ChainInfo {
  readonly family: number;
  readonly table: string;
  readonly name: string;
  /** Null: only reached by jumps. */
  readonly base: { readonly type: string; readonly hook: number; readonly priority: number; readonly policy: 'accept' | 'drop' } | null;
}

export interface RuleInfo {
  readonly handle: bigint;
  readonly expressions: readonly ExpressionInfo[];
  readonly comment: string;
}

export interface ExpressionInfo {
  readonly name: string;
  /** Of an immediate one that decides. */
  readonly verdict: Verdict | null;
  /** Of iptables' compatibility layer: the target's name (`REJECT`). */
  readonly target: string;
}

const familyNames: ReadonlyMap<number, string> = new Map([
  [NFPROTO_INET, 'inet'],
  [NFPROTO_IPV4, 'ip'],
  [3, 'arp'],
  [5, 'netdev'],
  [7, 'bridge'],
  [NFPROTO_IPV6, 'ip6'],
]);

/** As nft writes it. */
export function familyName(family: number): string {
  return familyNames.get(family) ?? `family ${family}`;
}

/** Changes with every change of the rule set, by whomever. Costs some microseconds. */
export function rulesetGeneration(socket: NetlinkSocket): number {
  const reply = socket.requestReply(type(GETGEN), 0, header(NFPROTO_UNSPEC), 'ask for the generation of the nft rule set');
  const id = parseAttributes(reply.subarray(nfgenmsgLength)).get(1);
  return id ? numberOfBigEndian(id) : 0;
}

export function listTables(socket: NetlinkSocket): TableInfo[] {
  return socket.dump(type(GETTABLE), header(NFPROTO_UNSPEC), 'list the nft tables').map((payload) => {
    const attributes = parseAttributes(payload.subarray(nfgenmsgLength));
    const owner = attributes.get(7);
    return {
      family: payload[0] ?? 0,
      name: text(attributes.get(1)),
      flags: number(attributes.get(2)),
      owner: owner ? numberOfBigEndian(owner) : 0,
      comment: userComment(attributes.get(6)),
    };
  });
}

export function listChains(socket: NetlinkSocket): ChainInfo[] {
  return socket.dump(type(GETCHAIN), header(NFPROTO_UNSPEC), 'list the nft chains').map((payload) => {
    const attributes = parseAttributes(payload.subarray(nfgenmsgLength));
    const hook = attributes.get(4);
    return {
      family: payload[0] ?? 0,
      table: text(attributes.get(1)),
      name: text(attributes.get(3)),
      base: hook ? parseBase(attributes, parseAttributes(hook)) : null,
    };
  });
}

export function listRules(socket: NetlinkSocket, chain: Pick<ChainInfo, 'family' | 'table' | 'name'>): RuleInfo[] {
  const query = new AttributeWriter(header(chain.family)).text(1, chain.table).text(2, chain.name).finish();
  return (
    socket
      .dump(type(GETRULE), query, `list the rules of ${familyName(chain.family)} ${chain.table} ${chain.name}`)
      .map((payload) => parseAttributes(payload.subarray(nfgenmsgLength)))
      // Kernels before 4.18 send the rules of every chain.
      .filter((attributes) => text(attributes.get(1)) === chain.table && text(attributes.get(2)) === chain.name)
      .map((attributes) => ({
        handle: attributes.get(3)?.readBigUInt64BE() ?? 0n,
        expressions: listAttributes(attributes.get(4) ?? Buffer.alloc(0)).map(({ value }) => parseExpression(value)),
        comment: userComment(attributes.get(7)),
      }))
  );
}

/** Names of the sets and maps of a table, the anonymous ones of its rules included. */
export function listSets(socket: NetlinkSocket, family: number, table: string): string[] {
  const query = new AttributeWriter(header(family)).text(1, table).finish();
  return socket
    .dump(type(GETSET), query, `list the sets of the nft table ${table}`)
    .map((payload) => text(parseAttributes(payload.subarray(nfgenmsgLength)).get(2)));
}

export function listElements(socket: NetlinkSocket, family: number, table: string, set: string): SetElement[] {
  return socket
    .dump(type(GETSETELEM), elementsQuery(family, table, set), `list the elements of ${familyName(family)} ${table} ${set}`)
    .flatMap(parseElements);
}

function parseBase(attributes: Map<number, Buffer>, hook: Map<number, Buffer>): ChainInfo['base'] {
  return {
    type: text(attributes.get(7)),
    hook: number(hook.get(1)),
    priority: number(hook.get(2)) | 0,
    policy: number(attributes.get(5)) === 0 ? 'drop' : 'accept',
  };
}

function parseExpression(bytes: Buffer): ExpressionInfo {
  const attributes = parseAttributes(bytes);
  const name = text(attributes.get(1));
  const data = parseAttributes(attributes.get(2) ?? Buffer.alloc(0));
  const value = name === 'immediate' ? data.get(2) : undefined;
  const parsed = value ? parseData(value) : null;
  return {
    name,
    verdict: parsed === null || parsed instanceof Uint8Array ? null : parsed,
    target: name === 'target' ? text(data.get(1)) : '',
  };
}

/** Of tables and rules alike: entries of u8 type, u8 length, value; type 0 is the comment. */
function userComment(bytes: Buffer | undefined): string {
  for (let at = 0; bytes && at + 2 <= bytes.length; at += 2 + (bytes[at + 1] ?? 0)) {
    if (bytes[at] === 0) return textOf(bytes.subarray(at + 2, at + 2 + (bytes[at + 1] ?? 0)));
  }
  return '';
}

function type(message: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | message;
}

function header(family: number): Buffer {
  return Buffer.from([family, 0, 0, 0]);
}

function text(value: Buffer | undefined): string {
  return value ? textOf(value) : '';
}

function number(value: Buffer | undefined): number {
  return value ? numberOfBigEndian(value) : 0;
}
