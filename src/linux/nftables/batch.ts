/**
 * A change of the rule set, as the messages of one nfnetlink batch: the kernel carries out all of it or nothing, and packets see either the old or the
 * new state. Every message is
 *
 *     struct nfgenmsg { u8 family; u8 version 0; be16 resource 0 } | attributes
 */
import { AttributeWriter, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from '../netlink/message.ts';
import { type BatchMessage, NFNL_SUBSYS_NFTABLES } from '../netlink/netlink-socket.ts';
import { type ElementData, type SetElement, writeElements } from './elements.ts';
import {
  type AnonymousSet,
  anonymousSetName,
  type FieldType,
  fieldTypes,
  matchFamily,
  NFPROTO_INET,
  type Statement,
} from './expressions.ts';

const NEWTABLE = 0;
const DELTABLE = 2;
const NEWCHAIN = 3;
const NEWRULE = 6;
const DELRULE = 8;
const NEWSET = 9;
const NEWSETELEM = 12;
const DELSETELEM = 14;

const NFTA_TABLE_NAME = 1;
const NFTA_TABLE_FLAGS = 2;
const NFTA_TABLE_USERDATA = 6;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_RULE_USERDATA = 7;
const NFTA_SET_TABLE = 1;
const NFTA_SET_NAME = 2;
const NFTA_SET_FLAGS = 3;
const NFTA_SET_KEY_TYPE = 4;
const NFTA_SET_KEY_LEN = 5;
const NFTA_SET_DATA_TYPE = 6;
const NFTA_SET_DATA_LEN = 7;
const NFTA_SET_ID = 10;
const NFTA_SET_USERDATA = 13;
const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;

const NFT_SET_ANONYMOUS = 1;
const NFT_SET_CONSTANT = 2;
const NFT_SET_MAP = 8;
const NFT_DATA_VERDICT = 0xffffff00;
/** Bits of one type in the number of a concatenated type. */
const typeBits = 6;

/** `owner`: nobody else may change the table while our socket lives; `persist`: it outlives the socket (kernel 6.9 and later). */
export const TABLE_OWNER = 2;
export const TABLE_PERSIST = 4;

export const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

export interface TableDefinition {
  readonly name: string;
  readonly flags: number;
  /** Shown by `nft list`. */
  readonly comment: string;
}

export interface ChainDefinition {
  readonly name: string;
  /** Absent: only reached by jumps. The policy is `accept`. */
  readonly base?: { readonly type: 'filter' | 'nat'; readonly hook: keyof typeof hooks; readonly priority: number };
}

export interface SetDefinition {
  readonly name: string;
  /** Concatenated: ` . ` in nft's text. */
  readonly key: readonly FieldType[];
  /** Absent: a plain set. */
  readonly data?: readonly FieldType[] | 'verdict';
}

export interface RuleDefinition {
  readonly statements: readonly Statement[];
  readonly comment?: string;
}

export function rule(...statements: readonly Statement[]): RuleDefinition {
  return { statements };
}

export class NftBatch {
  readonly #messages: BatchMessage[] = [];
  readonly #family: number;
  readonly #table: string;
  #lastSetId = 0;

  /** For one table. */
  constructor(family: number, table: string) {
    this.#family = family;
    this.#table = table;
  }

  get messages(): readonly BatchMessage[] {
    return this.#messages;
  }

  /** There already: nothing happens, but that an orphaned table gets its owner. */
  addTable(flags: number, comment: string): this {
    const body = this.#body().text(NFTA_TABLE_NAME, this.#table).u32be(NFTA_TABLE_FLAGS, flags);
    if (comment !== '') body.bytes(NFTA_TABLE_USERDATA, userComment(comment));
    return this.#push(NEWTABLE, NLM_F_CREATE, body);
  }

  /** With all that is in it. */
  deleteTable(): this {
    return this.#push(DELTABLE, 0, this.#body().text(NFTA_TABLE_NAME, this.#table));
  }

  addChain({ name, base }: ChainDefinition): this {
    const body = this.#body().text(NFTA_CHAIN_TABLE, this.#table).text(NFTA_CHAIN_NAME, name);
    if (base) {
      body.nested(NFTA_CHAIN_HOOK, (hook) => {
        hook.u32be(NFTA_HOOK_HOOKNUM, hooks[base.hook]).u32be(NFTA_HOOK_PRIORITY, base.priority >>> 0);
      });
      body.u32be(NFTA_CHAIN_POLICY, 1).text(NFTA_CHAIN_TYPE, base.type);
    }
    return this.#push(NEWCHAIN, NLM_F_CREATE, body);
  }

  addSet({ name, key, data }: SetDefinition): this {
    const body = this.#setBody(name, data === undefined ? 0 : NFT_SET_MAP, key);
    if (data === 'verdict') body.u32be(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT).u32be(NFTA_SET_DATA_LEN, 0);
    else if (data) body.u32be(NFTA_SET_DATA_TYPE, concatenatedType(data)).u32be(NFTA_SET_DATA_LEN, concatenatedLength(data));
    return this.#push(NEWSET, NLM_F_CREATE, body);
  }

  /** After those that the chain has. */
  appendRule(chain: string, definition: RuleDefinition): this {
    return this.#addRule(chain, definition, NLM_F_CREATE | NLM_F_APPEND);
  }

  /** Before those that the chain has. */
  insertRule(chain: string, definition: RuleDefinition): this {
    return this.#addRule(chain, definition, NLM_F_CREATE);
  }

  /** Of every chain of the table. */
  deleteRules(): this {
    return this.#push(DELRULE, 0, this.#body().text(NFTA_RULE_TABLE, this.#table));
  }

  deleteRule(chain: string, handle: bigint): this {
    const body = this.#body().text(NFTA_RULE_TABLE, this.#table).text(NFTA_RULE_CHAIN, chain).u64be(NFTA_RULE_HANDLE, handle);
    return this.#push(DELRULE, 0, body);
  }

  /** EEXIST when a key is there. */
  addElements(set: string, elements: readonly SetElement[]): this {
    for (const body of writeElements(() => this.#body(), this.#table, set, elements))
      this.#push(NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, body);
    return this;
  }

  /** ENOENT when a key is not there. */
  deleteElements(set: string, elements: readonly SetElement[]): this {
    for (const body of writeElements(() => this.#body(), this.#table, set, elements)) this.#push(DELSETELEM, 0, body);
    return this;
  }

  #addRule(chain: string, { statements, comment }: RuleDefinition, flags: number): this {
    const numbered = (this.#family === NFPROTO_INET ? withFamilies(statements) : statements).map((statement) => ({
      statement,
      setId: statement.anonymousSet ? this.#addAnonymousSet(statement.anonymousSet) : 0,
    }));
    const body = this.#body().text(NFTA_RULE_TABLE, this.#table).text(NFTA_RULE_CHAIN, chain);
    body.nested(NFTA_RULE_EXPRESSIONS, (list) => {
      for (const { name, write } of numbered.flatMap(({ statement, setId }) => statement.expressions(setId))) {
        list.nested(NFTA_LIST_ELEM, (element) => element.text(NFTA_EXPR_NAME, name).nested(NFTA_EXPR_DATA, write));
      }
    });
    if (comment !== undefined) body.bytes(NFTA_RULE_USERDATA, userComment(comment));
    return this.#push(NEWRULE, flags, body);
  }

  /** It goes with its rule. */
  #addAnonymousSet({ type, values }: AnonymousSet): number {
    const setId = ++this.#lastSetId;
    this.#push(NEWSET, NLM_F_CREATE, this.#setBody(anonymousSetName, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT, [type], setId));
    const elements = values.map((key) => ({ key, data: null }));
    for (const body of writeElements(() => this.#body(), this.#table, anonymousSetName, elements, setId))
      this.#push(NEWSETELEM, NLM_F_CREATE, body);
    return setId;
  }

  #setBody(name: string, flags: number, key: readonly FieldType[], setId = ++this.#lastSetId): AttributeWriter {
    return this.#body()
      .text(NFTA_SET_TABLE, this.#table)
      .text(NFTA_SET_NAME, name)
      .u32be(NFTA_SET_FLAGS, flags)
      .u32be(NFTA_SET_KEY_TYPE, concatenatedType(key))
      .u32be(NFTA_SET_KEY_LEN, concatenatedLength(key))
      .u32be(NFTA_SET_ID, setId)
      .bytes(NFTA_SET_USERDATA, keyByteOrder(key));
  }

  #body(): AttributeWriter {
    return new AttributeWriter(Buffer.from([this.#family, 0, 0, 0]));
  }

  #push(message: number, flags: number, body: AttributeWriter): this {
    this.#messages.push({ type: (NFNL_SUBSYS_NFTABLES << 8) | message, flags, payload: body.finish() });
    return this;
  }
}

/** The parts of a concatenated key or value, each padded to 4 bytes. One part alone is not padded. */
export function concatenated(...parts: readonly Uint8Array[]): Buffer {
  const [only] = parts;
  if (parts.length === 1 && only) return Buffer.from(only);
  const bytes = Buffer.alloc(parts.reduce((length, part) => length + aligned(part.length), 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += aligned(part.length);
  }
  return bytes;
}

export type { ElementData, SetElement };

/** In a table of both families a look at a header of one needs the question before it, once. */
function withFamilies(statements: readonly Statement[]): Statement[] {
  const asked = new Set<string>();
  return statements.flatMap((statement) => {
    if (statement.family === undefined || asked.has(statement.family)) return [statement];
    asked.add(statement.family);
    return [matchFamily(statement.family), statement];
  });
}

function concatenatedType(types: readonly FieldType[]): number {
  return types.reduce((number, type) => (number << typeBits) | fieldTypes[type].id, 0);
}

function concatenatedLength(types: readonly FieldType[]): number {
  const [only] = types;
  if (types.length === 1 && only) return fieldTypes[only].bytes;
  return types.reduce((length, type) => length + aligned(fieldTypes[type].bytes), 0);
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

/** For `nft list`, which shows names of interfaces as empty otherwise: u8 type 0, u8 length 4, u32 order (1: the host's, 2: the network's). */
function keyByteOrder(types: readonly FieldType[]): Buffer {
  return Buffer.from([0, 4, types.length === 1 && types[0] === 'ifname' ? 1 : 2, 0, 0, 0]);
}

/** What nft keeps a comment in: u8 type 0, u8 length, text with its NUL. */
function userComment(text: string): Buffer {
  const bytes = Buffer.from(`${text}\0`);
  return Buffer.concat([Buffer.from([0, bytes.length]), bytes]);
}
