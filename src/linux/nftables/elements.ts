/** Elements of sets and maps: to messages, and back from a dump. A message holds as many as its 16-bit length allows. */
import { AttributeWriter, listAttributes, numberOfBigEndian, parseAttributes, textOf } from '../netlink/message.ts';
import { type Verdict, writeData } from './expressions.ts';

const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_SET_ELEM_LIST_SET_ID = 4;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
const NFTA_LIST_ELEM = 1;

/** The largest element (two addresses of IPv6, a verdict with a chain) takes some 100 bytes, and the list's length must stay below 64 KiB. */
const elementsPerMessage = 400;
const nfgenmsgLength = 4;

export type ElementData = Uint8Array | Verdict | null;

export interface SetElement {
  readonly key: Uint8Array;
  /** Null in plain sets. */
  readonly data: ElementData;
}

export function writeElements(
  newBody: () => AttributeWriter,
  table: string,
  set: string,
  elements: readonly SetElement[],
  setId?: number,
): AttributeWriter[] {
  const bodies: AttributeWriter[] = [];
  for (let at = 0; at < elements.length; at += elementsPerMessage) {
    const body = newBody().text(NFTA_SET_ELEM_LIST_TABLE, table).text(NFTA_SET_ELEM_LIST_SET, set);
    if (setId !== undefined) body.u32be(NFTA_SET_ELEM_LIST_SET_ID, setId);
    body.nested(NFTA_SET_ELEM_LIST_ELEMENTS, (list) => {
      for (const element of elements.slice(at, at + elementsPerMessage)) writeElement(list, element);
    });
    bodies.push(body);
  }
  return bodies;
}

/** For a dump of one set. */
export function elementsQuery(family: number, table: string, set: string): Buffer {
  return new AttributeWriter(Buffer.from([family, 0, 0, 0]))
    .text(NFTA_SET_ELEM_LIST_TABLE, table)
    .text(NFTA_SET_ELEM_LIST_SET, set)
    .finish();
}

/** Of one message of a dump. */
export function parseElements(payload: Buffer): SetElement[] {
  const list = parseAttributes(payload.subarray(nfgenmsgLength)).get(NFTA_SET_ELEM_LIST_ELEMENTS);
  return list ? listAttributes(list).map(({ value }) => parseElement(value)) : [];
}

function writeElement(list: AttributeWriter, { key, data }: SetElement): void {
  list.nested(NFTA_LIST_ELEM, (element) => {
    writeData(element, NFTA_SET_ELEM_KEY, key);
    if (data !== null) writeData(element, NFTA_SET_ELEM_DATA, data);
  });
}

function parseElement(bytes: Buffer): SetElement {
  const attributes = parseAttributes(bytes);
  const key = attributes.get(NFTA_SET_ELEM_KEY);
  const data = attributes.get(NFTA_SET_ELEM_DATA);
  const keyValue = key && parseAttributes(key).get(NFTA_DATA_VALUE);
  return { key: keyValue ?? Buffer.alloc(0), data: data ? parseData(data) : null };
}

/** Of an element, or of an immediate expression. */
export function parseData(bytes: Buffer): ElementData {
  const attributes = parseAttributes(bytes);
  const verdict = attributes.get(NFTA_DATA_VERDICT);
  if (!verdict) return attributes.get(NFTA_DATA_VALUE) ?? Buffer.alloc(0);
  const fields = parseAttributes(verdict);
  const code = fields.get(NFTA_VERDICT_CODE);
  const chain = fields.get(NFTA_VERDICT_CHAIN);
  return { code: code ? numberOfBigEndian(code) | 0 : 0, chain: chain ? textOf(chain) : '' };
}
