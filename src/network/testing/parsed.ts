/** The parsers of addresses for tests: what can not be read is a defect of the test. */
import * as real from '../ip-address.ts';

export { contains, formatAddress } from '../ip-address.ts';
export type Address = real.Address;
export type Subnet = real.Subnet;

export function parseAddress(text: string): Address {
  return required(real.parseAddress(text), text);
}

export function parseSubnet(text: string): Subnet {
  return required(real.parseSubnet(text), text);
}

export function addressText(address: Address | null): string | null {
  return address === null ? null : real.formatAddress(address);
}

function required<T>(value: T | null, text: string): T {
  if (value === null) throw new Error(`the test has a bad address: ${text}`);
  return value;
}
