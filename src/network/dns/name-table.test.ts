import assert from 'node:assert/strict';
import test from 'node:test';
import { bytesToIp } from '../../base/ip-bytes.ts';
import { type DnsEndpoint, NameTable, nameScope, reverseName } from './name-table.ts';

const front = { id: 'n1', name: 'Front' };
const back = { id: 'n2', name: 'back.end' };

function endpoint(id: string, networkId: string, names: readonly string[], ipv4: string, ipv6 = ''): DnsEndpoint {
  return { id, networkId, sandboxId: `box-${id[0]}`, names, ipv4, ipv6 };
}

function addresses(
  table: NameTable,
  scope: ReturnType<typeof nameScope>,
  name: string,
  family: 'v4' | 'v6' = 'v4',
): readonly string[] | null {
  return table.find(scope, name, family)?.[family].map(({ data }) => bytesToIp(data)) ?? null;
}

function sample(): NameTable {
  const table = new NameTable();
  table.add(endpoint('a1', 'n1', ['web', 'svc', 'aaaaaaaaaaaa'], '10.1.0.2'));
  table.add(endpoint('b1', 'n1', ['Db', 'svc'], '10.1.0.3', 'fd00::3'));
  table.add(endpoint('b2', 'n2', ['Db'], '10.2.0.3'));
  return table;
}

test('NameTable: names, aliases shared by several, networks in their order', () => {
  const table = sample();
  const both = nameScope([back, front], {});
  assert.deepEqual(addresses(table, both, 'svc'), ['10.1.0.2', '10.1.0.3']);
  assert.deepEqual(addresses(table, both, 'db'), ['10.2.0.3']);
  assert.deepEqual(addresses(table, both, 'db', 'v6'), ['fd00::3']);
  assert.deepEqual(addresses(table, both, 'aaaaaaaaaaaa'), ['10.1.0.2']);
  assert.deepEqual(addresses(table, both, 'web', 'v6'), []);
  assert.equal(addresses(table, both, 'nobody'), null);
  assert.equal(addresses(table, nameScope([back], {}), 'web'), null);
});

test('NameTable: name.network, in any case, for networks of the scope alone', () => {
  const table = sample();
  const both = nameScope([back, front], {});
  assert.deepEqual(addresses(table, both, 'db.front'), ['10.1.0.3']);
  assert.deepEqual(addresses(table, both, 'db.back.end'), ['10.2.0.3']);
  assert.equal(addresses(table, nameScope([front], {}), 'db.back.end'), null);
});

test('NameTable: links are seen by their owner, on shared networks, until the target is gone', () => {
  const table = sample();
  const scope = nameScope([front], { Database: 'box-b' });
  assert.deepEqual(addresses(table, scope, 'database'), ['10.1.0.3']);
  assert.deepEqual(addresses(table, scope, 'database.front'), ['10.1.0.3']);
  assert.deepEqual(addresses(table, scope, 'database', 'v6'), ['fd00::3']);
  assert.equal(addresses(table, nameScope([front], {}), 'database'), null);
  table.remove('b1');
  assert.equal(addresses(table, scope, 'database'), null);
});

test('NameTable: PTR of both families', () => {
  const table = sample();
  const scope = nameScope([front], {});
  const host = (address: string) => table.findReverse(scope, reverseName(address))?.data.toString();
  assert.equal(host('10.1.0.2'), '\u0003web\u0005Front\0');
  assert.equal(host('fd00::3'), '\u0002Db\u0005Front\0');
  assert.equal(host('10.2.0.3'), undefined);
  assert.equal(reverseName('fd00::3'), `3.${'0.'.repeat(27)}0.0.d.f.ip6.arpa`);
});

test('NameTable: renamed, replaced and removed', () => {
  const table = sample();
  const scope = nameScope([front], {});
  table.setNames('a1', ['site']);
  assert.deepEqual([addresses(table, scope, 'web'), addresses(table, scope, 'site')], [null, ['10.1.0.2']]);
  assert.deepEqual(addresses(table, scope, 'svc'), ['10.1.0.3']);
  table.add(endpoint('a1', 'n1', ['web'], '10.1.0.9'));
  assert.equal(table.findReverse(scope, reverseName('10.1.0.2')), null);
  for (const id of ['a1', 'b1', 'b1', 'b2', 'never']) table.remove(id);
  assert.equal(addresses(table, scope, 'svc'), null);
  table.setNames('a1', ['ghost']);
  assert.equal(addresses(table, scope, 'ghost'), null);
});
