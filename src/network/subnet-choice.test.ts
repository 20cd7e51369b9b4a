import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { containsSubnet, formatSubnet, overlaps } from './ip-address.ts';
import { chooseSubnet, defaultBridgePools, ulaPool, userPools } from './subnet-choice.ts';
import { parseSubnet } from './testing/parsed.ts';

const chosen = (pools: typeof userPools, taken: readonly string[], family: 4 | 6 = 4) => {
  const subnet = chooseSubnet(pools, family, taken.map(parseSubnet));
  return subnet === null ? null : formatSubnet(subnet);
};

describe('chooseSubnet', () => {
  it('gives the default bridge 172.17.0.0/16, or what is free', () => {
    assert.equal(chosen(defaultBridgePools, []), '172.17.0.0/16');
    assert.equal(chosen(defaultBridgePools, ['172.17.3.0/24']), '172.18.0.0/20');
    assert.equal(chosen(defaultBridgePools, ['172.16.0.0/12', '192.168.0.0/16']), '10.0.0.0/20');
  });

  it('gives user networks small ones, each its own', () => {
    assert.equal(chosen(userPools, ['172.17.0.0/16']), '172.18.0.0/24');
    assert.equal(chosen(userPools, ['172.18.0.0/24', '172.18.1.7/32']), '172.18.2.0/24');
    assert.equal(chosen(userPools, ['0.0.0.0/0']), null);
  });

  it("gives IPv6 from our own prefix, which is a daemon's alone", () => {
    const pool = ulaPool('one');
    const first = chosen([pool], [], 6);
    assert.match(first ?? '', /^fd[0-9a-f:]+::\/64$/);
    assert.notEqual(chosen([pool], [first ?? ''], 6), first);
    assert.notEqual(chosen([ulaPool('two')], [], 6), first);
    assert.equal(chosen([pool], [], 4), null);
  });

  it('never overlaps what is taken', () => {
    const taken = fc.array(
      fc.record({ value: fc.bigInt(0xac100000n, 0xac1fffffn), prefix: fc.integer({ min: 9, max: 32 }) }).map(({ value, prefix }) => {
        const bits = BigInt(32 - prefix);
        return { family: 4 as const, base: (value >> bits) << bits, prefix };
      }),
      { maxLength: 40 },
    );
    const pools = [{ base: parseSubnet('172.16.0.0/12'), size: 26 }];
    fc.assert(
      fc.property(taken, (others) => {
        const subnet = chooseSubnet(pools, 4, others);
        if (subnet === null) return;
        assert.ok(containsSubnet(parseSubnet('172.16.0.0/12'), subnet));
        assert.ok(!others.some((other) => overlaps(other, subnet)));
      }),
    );
  });
});
