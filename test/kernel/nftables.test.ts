/** Our tables as the kernel holds them, against nft's own text. Needs root and nftables; works in a network namespace of its own. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { bind, checked } from '../../src/linux/ffi.ts';
import { NETLINK_NETFILTER, openNetlink } from '../../src/linux/netlink/netlink-socket.ts';
import { NftBatch } from '../../src/linux/nftables/batch.ts';
import { NFPROTO_INET, port } from '../../src/linux/nftables/expressions.ts';
import { listElements } from '../../src/linux/nftables/ruleset.ts';
import { installDnsRedirect } from '../../src/network/firewall/dns-redirect.ts';
import { openFirewall } from '../../src/network/firewall/firewall.ts';
import { settings } from './firewall-hosts.ts';

const CLONE_NEWNET = 0x4000_0000;
const hasNft = spawnSync('nft', ['--version']).status === 0;
const skip = process.getuid?.() !== 0 ? 'needs root' : hasNft ? false : 'needs nftables';

function nft(...parameters: readonly string[]): string {
  return execFileSync('nft', parameters, { encoding: 'utf8' });
}

/** Without what differs between versions of nft: the owner's name, flags that it does not know. */
function plain(listing: string): string {
  return listing
    .replace(/ # progname .*/g, '')
    .replace(/^\tflags .*\n/m, '')
    .trim();
}

/** nft parts what has flags from what follows. */
function withoutBlankLines(listing: string): string {
  return plain(listing).replace(/\n+/g, '\n');
}

describe('nftables', { skip }, () => {
  before(() => {
    checked(bind('unshare', 'int', ['int'])(CLONE_NEWNET), 'unshare', 'a network namespace');
  });

  test('nft lists the table as written down, and reads its own listing again', () => {
    const firewall = openFirewall(settings, silentLogger);
    try {
      const listing = plain(nft('list', 'table', 'inet', settings.globalName));
      assert.equal(listing, readFileSync(new URL('gantry-table.nft', import.meta.url), 'utf8').trim());
      const copy = listing.replace(`table inet ${settings.globalName}`, 'table inet copy');
      execFileSync('nft', ['-f', '-'], { input: copy });
      assert.equal(withoutBlankLines(nft('list', 'table', 'inet', 'copy')), withoutBlankLines(copy));
    } finally {
      firewall.close(false);
      nft('flush', 'ruleset');
    }
  });

  test('installDnsRedirect, twice', () => {
    installDnsRedirect(1111, 2222);
    installDnsRedirect(40001, 40002);
    assert.equal(
      nft('list', 'ruleset').trim(),
      `table ip gantry_dns {
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40001
		ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:40002
	}
}`,
    );
    nft('flush', 'ruleset');
  });

  test('elements: EEXIST and ENOENT undo the whole batch; ten thousand come back in pages', () => {
    const socket = openNetlink(NETLINK_NETFILTER);
    const change = (edit: (batch: NftBatch) => NftBatch): void =>
      socket.sendBatch(edit(new NftBatch(NFPROTO_INET, 'many')).messages, 'test');
    const element = (number: number) => ({ key: port(number), data: null });
    change((batch) =>
      batch
        .addTable(0, '')
        .addSet({ name: 's', key: ['inet_service'] })
        .addElements('s', [element(1)]),
    );
    assert.throws(() => change((batch) => batch.addElements('s', [element(2)]).addElements('s', [element(1)])), { errnoName: 'EEXIST' });
    assert.throws(() => change((batch) => batch.addElements('s', [element(3)]).deleteElements('s', [element(9)])), { errnoName: 'ENOENT' });
    assert.equal(listElements(socket, NFPROTO_INET, 'many', 's').length, 1);
    const all = Array.from({ length: 10_000 }, (_, index) => element(index + 10));
    change((batch) => batch.addElements('s', all));
    assert.equal(listElements(socket, NFPROTO_INET, 'many', 's').length, 10_001);
    change((batch) => batch.deleteElements('s', all));
    assert.equal(listElements(socket, NFPROTO_INET, 'many', 's').length, 1);
    socket.close();
    nft('flush', 'ruleset');
  });
});
