/** MAC addresses: checked, written in one form, made from addresses. Pure. */
import { invalid } from '../base/errors.ts';
import type { Address } from './ip-address.ts';

/** Six bytes with `:` or `-` between, or three groups of four digits with dots; given back in lower case with `:`. */
export function parseMacAddress(text: string): string {
  const digits = /^([0-9a-f]{2}([:-])(?:[0-9a-f]{2}\2){4}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})$/i.test(text)
    ? text.replaceAll(/[^0-9a-f]/gi, '').toLowerCase()
    : null;
  if (digits === null) throw invalid(`invalid MAC address: ${text}: it is six bytes, like 02:42:ac:11:00:02`);
  if (digits === '000000000000' || (Number.parseInt(digits.slice(0, 2), 16) & 1) === 1)
    throw invalid(`invalid MAC address: ${text}: it is a group address, no interface can have it`);
  return withColons(digits);
}

/**
 * The same address always has the same MAC: a neighbour that remembers the last owner of an address would not reach a new one with another MAC for tens of
 * seconds. IPv4: its four bytes. IPv6 alone: the last four.
 */
export function macOf({ value }: Address): string {
  return withColons(`0242${(value & 0xffff_ffffn).toString(16).padStart(8, '0')}`);
}

function withColons(digits: string): string {
  return digits.match(/../g)?.join(':') ?? '';
}
