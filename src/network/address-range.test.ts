import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AddressRange, firstUsable } from './address-range.ts';
import { type Address, addressText, contains, formatAddress, parseAddress, parseSubnet, type Subnet } from './testing/parsed.ts';

const options = (subnet: string, range: string | null = null, ...reserved: string[]) => ({
  subnet: parseSubnet(subnet),
  range: range === null ? null : parseSubnet(range),
  reserved: reserved.map(parseAddress),
});
const next = (range: AddressRange) => addressText(range.takeNext());

describe('AddressRange', () => {
  it('gives neither network, broadcast nor gateway, and null when it is empty', () => {
    const range = new AddressRange(options('10.0.0.0/29', null, '10.0.0.1'));
    assert.deepEqual(
      Array.from({ length: 6 }, () => next(range)),
      ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6', null],
    );
  });

  it('a released address comes back last', () => {
    const range = new AddressRange(options('10.0.0.0/29', null, '10.0.0.1'));
    assert.equal(next(range), '10.0.0.2');
    range.release(parseAddress('10.0.0.2'));
    assert.deepEqual(
      Array.from({ length: 6 }, () => next(range)),
      ['10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.2', null],
    );
  });

  it('looks in the range, takes fixed ones in the whole subnet', () => {
    const range = new AddressRange(options('10.0.0.0/24', '10.0.0.128/30', '10.0.0.1'));
    assert.deepEqual([next(range), next(range)], ['10.0.0.128', '10.0.0.129']);
    assert.ok(range.take(parseAddress('10.0.0.7')));
    assert.ok(!range.take(parseAddress('10.0.0.7')));
    assert.ok(!range.take(parseAddress('10.0.0.1')));
    assert.ok(!range.take(parseAddress('10.0.1.7')));
    assert.ok(!range.take(parseAddress('10.0.0.255')));
  });

  it('uses both addresses of a /31, and all of IPv6 but the first', () => {
    const pair = new AddressRange(options('10.0.0.0/31'));
    assert.deepEqual([next(pair), next(pair), next(pair)], ['10.0.0.0', '10.0.0.1', null]);
    assert.equal(next(new AddressRange(options('fd00::/64'))), 'fd00::1');
  });

  it('never gives an address twice, outside or reserved; what is released comes back', () => {
    const command = fc.oneof(
      fc.constant({ kind: 'next' as const }),
      fc.record({ kind: fc.constant('take' as const), host: fc.nat(63) }),
      fc.record({ kind: fc.constant('release' as const), index: fc.nat(63) }),
    );
    fc.assert(
      fc.property(fc.constantFrom(4 as const, 6 as const), fc.array(command, { maxLength: 300 }), (family, commands) => {
        const base = family === 4 ? '10.0.0.' : 'fd00::';
        const subnet: Subnet = parseSubnet(family === 4 ? '10.0.0.0/27' : 'fd00::/123');
        const reserved = [parseAddress(`${base}1`), parseAddress(`${base}9`)];
        const range = new AddressRange({ subnet, range: null, reserved });
        const owned = new Map<bigint, Address>();
        for (const step of commands) {
          if (step.kind === 'release') {
            const victim = [...owned.values()][step.index];
            if (victim === undefined) continue;
            range.release(victim);
            owned.delete(victim.value);
            continue;
          }
          const wanted = step.kind === 'take' ? { family, value: subnet.base + BigInt(step.host) } : null;
          const got = wanted === null ? range.takeNext() : range.take(wanted) ? wanted : null;
          if (got === null) continue;
          assert.ok(!owned.has(got.value) && contains(subnet, got));
          assert.ok(got.value !== subnet.base && !reserved.some(({ value }) => value === got.value));
          owned.set(got.value, got);
        }
        assert.equal(range.ownedCount, owned.size);
        for (const address of owned.values()) range.release(address);
        const all = new Set<string>();
        for (let got = range.takeNext(); got !== null; got = range.takeNext()) all.add(formatAddress(got));
        assert.equal(all.size, 32 - 2 - (family === 4 ? 2 : 1));
      }),
    );
  });
});

it('firstUsable is the first of the range that is not reserved', () => {
  assert.equal(addressText(firstUsable(options('10.0.0.0/24'))), '10.0.0.1');
  assert.equal(addressText(firstUsable(options('10.0.0.0/24', '10.0.0.64/28'))), '10.0.0.64');
  assert.equal(addressText(firstUsable(options('10.0.0.0/24', null, '10.0.0.1'))), '10.0.0.2');
});
