/** SEC-01 … SEC-05: hostile layers against a canary tree outside the store. Needs root (devices, owners, trusted attributes). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodePaxRecord } from '../../src/archive/pax.ts';
import { encodeTarHeader } from '../../src/archive/tar-writer.ts';
import { getAttributeOfPath, listAttributesOfPath } from '../../src/linux/extended-attributes.ts';
import { readFileInLayers } from '../../src/store/layer-stack.ts';
import { type LayerEntry, LayerFixture, layerTar, needsRoot } from './layer-fixture.ts';

const outside = mkdtempSync(join(tmpdir(), 'g-canary-'));
mkdirSync(join(outside, 'dir'), { mode: 0o751 });
writeFileSync(join(outside, 'file'), 'canary', { mode: 0o640 });
writeFileSync(join(outside, 'dir', 'inner'), 'inner');
symlinkSync('file', join(outside, 'link'));
after(() => rmSync(outside, { recursive: true, force: true }));

/** Everything that an attack could change, ctime included: a chmod to the same mode shows too. */
function canary(directory = outside): readonly unknown[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .concat('.')
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const { mode, uid, gid, nlink, ino, size, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
      const content = lstatSync(path).isFile() ? readFileSync(path, 'utf8') : '';
      return { name, mode, uid, gid, nlink, ino, size, mtimeNs, ctimeNs, content, attributes: listAttributesOfPath(path) };
    });
}

const up = '../'.repeat(12);
const rel = `${up}${outside.slice(1)}`;
const dir = (path: string, more: Partial<LayerEntry> = {}): LayerEntry => ({ path: `${path}/`, ...more });
const file = (path: string, content = 'evil'): LayerEntry => ({ path, content });
const symlink = (path: string, linkTarget: string): LayerEntry => ({ path, linkTarget, type: 'symbolic-link' });
const hard = (path: string, linkTarget: string): LayerEntry => ({ path, linkTarget, type: 'hard-link' });
const device = (path: string, deviceMajor: number, deviceMinor: number): LayerEntry => ({
  path,
  type: 'character-device',
  deviceMajor,
  deviceMinor,
});

interface Attack {
  /** One array a layer. */
  readonly layers: readonly (readonly LayerEntry[])[];
  /** What is refused; else the layers unpack, contained. */
  readonly refused?: RegExp;
  /** A file that must then be in the merged tree, with content `evil`: contained, not lost. */
  readonly lands?: string;
}

const inside = outside.slice(1);
const attacks: Readonly<Record<string, Attack>> = {
  'a file through an absolute link': { layers: [[symlink('s', outside), file('s/file')]], lands: `${inside}/file` },
  'a file through a relative link': { layers: [[symlink('s', rel), file('s/file')]], lands: `${inside}/file` },
  'a file through a chain of links': {
    layers: [[symlink('a', 'b'), symlink('b', 'c/d'), dir('c'), symlink('c/d', outside), file('a/file')]],
    lands: `${inside}/file`,
  },
  'a file through a link of a lower layer': { layers: [[symlink('s', outside)], [file('s/file')]], lands: `${inside}/file` },
  'a file through a relative link of a lower layer': { layers: [[symlink('s', rel)], [file('s/file')]], lands: `${inside}/file` },
  'a file through a link to a file': { layers: [[symlink('s', join(outside, 'file')), file('s/x')]], lands: `${inside}/file/x` },
  'a file in place of a link': { layers: [[symlink('s', join(outside, 'file')), file('s')]], lands: 's' },
  'a file through /proc/self/root': {
    layers: [[symlink('s', '/proc/self/root'), file(`s${outside}/file`)]],
    lands: `proc/self/root${outside}/file`,
  },
  'a file through /proc/self/cwd of a lower layer': { layers: [[symlink('s', '/proc/self/cwd')], [file('s/x')]], lands: 'proc/self/cwd/x' },
  'a path with ..': { layers: [[file(`${rel}/file`)]], refused: /leads out of it/ },
  'a path with .. behind a directory': { layers: [[dir('a'), file(`a/${rel}/file`)]], refused: /leads out of it/ },
  'an absolute path': { layers: [[file(join(outside, 'file'))]], lands: `${inside}/file` },
  'a path with .. that stays inside': { layers: [[dir('a'), file('a/../b')]], lands: 'b' },
  'a hard link to an absolute path': { layers: [[hard('h', join(outside, 'file')), file('h')]], refused: /which is not there/ },
  'a hard link with ..': { layers: [[hard('h', `${rel}/file`), file('h')]], refused: /leads out of it/ },
  'a hard link through a link': { layers: [[symlink('s', outside), hard('h', 's/file')]], refused: /which is not there/ },
  'a hard link through a relative link': { layers: [[symlink('s', rel), hard('h', 's/file')]], refused: /which is not there/ },
  'a hard link through a link of a lower layer': {
    layers: [[symlink('s', outside)], [hard('h', 's/file')]],
    refused: /which is not there/,
  },
  'a hard link to a link, then written through': { layers: [[symlink('s', join(outside, 'file')), hard('h', 's'), file('h')]], lands: 'h' },
  'a hard link to a link of a lower layer, then written through': {
    layers: [[symlink('s', join(outside, 'file'))], [hard('h', 's'), file('h')]],
    lands: 'h',
  },
  'a hard link to a directory': { layers: [[dir('d'), hard('h', 'd')]], refused: /hard link to a directory/ },
  'a hard link to the root': { layers: [[hard('h', '/')]], refused: /which is not there/ },
  'a hard link to itself': { layers: [[file('h'), hard('h', 'h')]], lands: 'h' },
  'a hard link to a whiteout': {
    layers: [
      [dir('d'), file('d/f')],
      [dir('d'), file('d/.wh.f'), hard('h', 'd/f')],
    ],
    refused: /which is not there/,
  },
  'a directory through a link': { layers: [[symlink('s', outside), dir('s/new', { mode: 0o777 })]] },
  'a directory in place of a link': {
    layers: [[symlink('s', join(outside, 'dir')), dir('s', { mode: 0o777 }), file('s/inner')]],
    lands: 's/inner',
  },
  'a link in place of a directory whose times are set at the end': { layers: [[dir('d'), dir('d/dir'), symlink('d', outside)]] },
  'a parent that becomes a link': { layers: [[dir('d'), file('d/x'), symlink('d', outside), file('d/file')]], lands: `${inside}/file` },
  'a parent that becomes a link below another': {
    layers: [[dir('a'), dir('a/b'), file('a/b/x'), symlink('a', outside), file('a/b/x')]],
    lands: `${inside}/b/x`,
  },
  'a whiteout through a link': { layers: [[symlink('s', outside), file('s/.wh.file')]] },
  'a whiteout through a link of a lower layer': { layers: [[symlink('s', outside)], [file('s/.wh.file')]] },
  'an opaque marker through a link': { layers: [[symlink('s', join(outside, 'dir')), file('s/.wh..wh..opq')]] },
  'a whiteout of the directory itself': { layers: [[dir('d'), file('d/.wh..')]], refused: /whiteout of nothing/ },
  'a whiteout of the parent': { layers: [[dir('d'), file('d/.wh...')]], refused: /whiteout of nothing/ },
  'a whiteout without a name': { layers: [[file('.wh.')]], refused: /whiteout of nothing/ },
  'an entry below a whiteout': { layers: [[file('.wh.d/x')]], refused: /below a whiteout/ },
  'a device through a link': { layers: [[symlink('s', outside), device('s/null', 1, 3)]] },
  'a FIFO through a link': { layers: [[symlink('s', outside), { path: 's/fifo', type: 'fifo' }]] },
  'a link through a link': { layers: [[symlink('s', outside), symlink('s/evil', '/etc/shadow')]] },
  'attributes through a link': {
    layers: [
      [symlink('s', join(outside, 'file')), { path: 's', linkTarget: 'x', extendedAttributes: new Map([['trusted.x', Buffer.from('y')]]) }],
    ],
  },
  'a parent that is a file': { layers: [[file('f'), file('f/x')]], refused: /not a directory/ },
  'a parent that is a file of a lower layer': { layers: [[file('f')], [file('f/x')]], refused: /not a directory/ },
  'links in circles': { layers: [[symlink('a', 'b'), symlink('b', 'a'), file('a/x')]], refused: /circles|not a directory/ },
  'links in circles across layers': { layers: [[symlink('a', 'b')], [symlink('b', 'a'), file('a/x')]], refused: /circles/ },
  'a root that is a link (SEC-02)': { layers: [[symlink('.', outside)], [file('file')]], refused: /root that is not a directory/ },
  'a root that is an absolute link (SEC-02)': {
    layers: [[symlink('/', outside)], [file('file')]],
    refused: /root that is not a directory/,
  },
  'a root that is a file (SEC-02)': { layers: [[file('.')]], refused: /root that is not a directory/ },
  'names that only look equal (SEC-03)': {
    layers: [
      [
        symlink('caf\u00e9', outside),
        dir('cafe\u0301'),
        file('cafe\u0301/file'),
        symlink('K', outside),
        dir('\u212a'),
        file('\u212a/file'),
      ],
    ],
    lands: 'cafe\u0301/file',
  },
  'a hard link through a chain of links (SEC-03)': {
    layers: [[dir('a'), symlink('a/b', '..'), symlink('c', 'a/b/a/b'), file('f'), hard('h', 'c/f'), file('h')]],
    lands: 'h',
  },
  'file, directory, link, file of one name (SEC-05)': {
    layers: [[file('x', '1'), dir('x'), file('x/y'), symlink('x', outside), file('x/file'), file('x')]],
    lands: 'x',
  },
};

for (const [name, { layers, refused, lands }] of Object.entries(attacks)) {
  test(`SEC-01 layers: ${name}`, { skip: needsRoot }, async () => {
    const fixture = new LayerFixture();
    try {
      const before = canary();
      const sources = fixture.chain(...layers.map((entries) => layerTar(...entries)));
      if (refused !== undefined) {
        await assert.rejects(fixture.unpack(sources), { code: 'invalid', message: refused });
        assert.deepEqual(
          readdirSync(fixture.root).filter((entry) => entry.startsWith('tmp-')),
          [],
          'no residue',
        );
      } else {
        const refs = await fixture.unpack(sources);
        const { base, lowers } = fixture.store.mountOrder(refs);
        if (lands !== undefined) assert.equal(readFileInLayers(base, lowers, lands, 100)?.toString(), 'evil');
      }
      assert.deepEqual(canary(), before);
    } finally {
      await fixture.close();
    }
  });
}

test('SEC-01 headers that contradict each other', { skip: needsRoot }, async () => {
  const fixture = new LayerFixture();
  try {
    const body = encodePaxRecord('path', Buffer.from('other'));
    const header = encodeTarHeader({ type: 'file', path: 'PaxHeaders.0/x', sizeBytes: body.length });
    header.write('x', 156);
    header.fill(' ', 148, 156);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
    const tar = Buffer.concat([header, body, Buffer.alloc(512 - body.length), layerTar(file('innocent'))]);
    const [ref] = await fixture.unpack(fixture.chain(tar));
    // PAX wins, as with every reader that knows it.
    assert.deepEqual(readdirSync(fixture.inLayer(ref)), ['other']);
  } finally {
    await fixture.close();
  }
});

test('SEC-04 what stays: owners, setuid, devices, capabilities, times, attributes, holes, links', { skip: needsRoot }, async () => {
  const fixture = new LayerFixture();
  try {
    const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
    const time = { seconds: 1_500_000_000, nanoseconds: 123_456_789 };
    const tar = layerTar(
      { path: './', mode: 0o751, uid: 5, gid: 6, modifiedAt: time, type: 'directory' },
      dir('d', { mode: 0o3775, uid: 1, gid: 2, modifiedAt: time }),
      {
        path: 'd/suid',
        content: 'x',
        mode: 0o6755,
        uid: 7,
        gid: 8,
        modifiedAt: time,
        extendedAttributes: new Map([
          ['security.capability', capability],
          ['user.note', Buffer.from([0, 1, 255])],
        ]),
      },
      { path: 'd/link', linkTarget: 'nowhere', uid: 9, gid: 10, modifiedAt: time },
      { ...device('d/null', 1, 3), mode: 0o666, modifiedAt: time },
      { path: 'd/disk', type: 'block-device', deviceMajor: 259, deviceMinor: 70_000, mode: 0o660 },
      { path: 'd/fifo', type: 'fifo', mode: 0o622 },
      hard('d/hard', 'd/suid'),
      { path: 'd/x\udcff', content: 'not UTF-8' },
    );
    const [ref] = await fixture.unpack(fixture.chain(tar));
    const stats = (path: string) => lstatSync(fixture.inLayer(ref, path), { bigint: true });
    const shape = (path: string) => [Number(stats(path).mode & 0o7777n).toString(8), Number(stats(path).uid), Number(stats(path).gid)];
    assert.deepEqual(shape(''), ['751', 5, 6]);
    assert.deepEqual(shape('d'), ['3775', 1, 2]);
    assert.deepEqual(shape('d/suid'), ['6755', 7, 8]);
    assert.deepEqual(shape('d/link').slice(1), [9, 10]);
    assert.deepEqual(shape('d/null'), ['666', 0, 0]);
    for (const path of ['', 'd', 'd/suid', 'd/link', 'd/null']) assert.equal(stats(path).mtimeNs, 1_500_000_000_123_456_789n, path);
    assert.equal(execFileSync('stat', ['-c', '%t:%T', fixture.inLayer(ref, 'd/disk')], { encoding: 'utf8' }), '103:11170\n');
    assert.ok(lstatSync(fixture.inLayer(ref, 'd/fifo')).isFIFO());
    assert.equal(stats('d/hard').ino, stats('d/suid').ino);
    assert.deepEqual(getAttributeOfPath(fixture.inLayer(ref, 'd/suid'), 'security.capability'), capability);
    assert.deepEqual(getAttributeOfPath(fixture.inLayer(ref, 'd/suid'), 'user.note'), Buffer.from([0, 1, 255]));
    assert.ok(readdirSync(fixture.inLayer(ref, 'd'), { encoding: 'buffer' }).some((name) => name.equals(Buffer.from([0x78, 0xff]))));
    assert.deepEqual(fixture.store.rootAttributes([ref as NonNullable<typeof ref>]), {
      mode: 0o751,
      uid: 5,
      gid: 6,
      modifiedAt: time,
      extendedAttributes: {},
    });
    assert.equal(ref?.sizeBytes, 10);
  } finally {
    await fixture.close();
  }
});

test('SEC-04 an image does not speak to overlay: raw whiteouts and overlay attributes are dropped', { skip: needsRoot }, async () => {
  const fixture = new LayerFixture();
  try {
    const overlay = new Map([
      ['trusted.overlay.opaque', Buffer.from('y')],
      ['trusted.overlay.redirect', Buffer.from('/etc')],
      ['user.overlay.opaque', Buffer.from('y')],
      ['trusted.kept', Buffer.from('k')],
    ]);
    const below = layerTar(dir('d'), file('d/lower', 'lower'), file('plain', 'lower'));
    const above = layerTar(
      dir('d', { extendedAttributes: overlay }),
      device('plain', 0, 0),
      device('d/lower', 0, 0),
      { path: 'f', content: 'x', extendedAttributes: overlay },
      file('.wh..wh.aufs', 'bookkeeping'),
      dir('.wh..wh.plnk'),
      file('.wh..wh.plnk/1.2', 'bookkeeping'),
    );
    const refs = await fixture.unpack(fixture.chain(below, above));
    const { base, lowers } = fixture.store.mountOrder(refs);
    for (const path of ['d/lower', 'plain']) assert.equal(readFileInLayers(base, lowers, path, 100)?.toString(), 'lower');
    for (const path of ['d', 'f']) assert.deepEqual(listAttributesOfPath(fixture.inLayer(refs[1], path)), ['trusted.kept']);
    assert.deepEqual(readdirSync(fixture.inLayer(refs[1])).sort(), ['d', 'f']);
    await assert.rejects(
      fixture.unpack(fixture.chain(layerTar({ path: 'n', type: 'character-device', deviceMajor: 0, deviceMinor: 2 ** 20 }))),
      {
        code: 'invalid',
        message: /out of range/,
      },
    );
  } finally {
    await fixture.close();
  }
});

test('SEC-04 an unprivileged user cannot enter the store', { skip: needsRoot }, async () => {
  const fixture = new LayerFixture();
  try {
    execFileSync('chmod', ['755', fixture.directory]);
    const [ref] = await fixture.unpack(fixture.chain(layerTar({ path: 'suid', content: 'x', mode: 0o4755 })));
    assert.equal(statSync(fixture.root).mode & 0o777, 0o700);
    const probe = `process.setgid(65534); process.setuid(65534); require('fs').readdirSync(process.argv[1])`;
    assert.throws(() => execFileSync(process.execPath, ['-e', probe, fixture.root], { stdio: 'pipe' }), /EACCES/);
    assert.throws(() => execFileSync(process.execPath, ['-e', probe, fixture.inLayer(ref)], { stdio: 'pipe' }), /EACCES/);
  } finally {
    await fixture.close();
  }
});

test('SEC-05 owners out of range, damage and truncation leave nothing', { skip: needsRoot }, async () => {
  const fixture = new LayerFixture();
  try {
    const whole = layerTar(dir('d'), file('d/f', 'x'.repeat(5000)));
    const tars: readonly (readonly [Buffer, RegExp])[] = [
      [layerTar({ path: 'f', content: 'x', uid: 0xffffffff }), /owner 4294967295:0 is out of range/],
      [layerTar({ path: 'f', content: 'x', gid: 2 ** 40 }), /out of range/],
      [layerTar(file('n'.repeat(256))), /ENAMETOOLONG/],
      [layerTar(file(`${'d/'.repeat(1950)}f`)), /longer than 3840 bytes/],
      [
        layerTar({ path: 'f', content: 'x', extendedAttributes: new Map([[`user.${'n'.repeat(300)}`, Buffer.from('v')]]) }),
        /cannot unpack "f" .*ERANGE/,
      ],
      [layerTar({ path: 'd/', extendedAttributes: new Map([['security.capability', Buffer.from('nonsense')]]) }), /EINVAL|EPERM/],
      [whole.subarray(0, 3000), /middle of an entry/],
      [Buffer.concat([whole.subarray(0, 512), Buffer.alloc(512), whole.subarray(512)]), /empty block/],
      [Buffer.from('this is not a tar archive'), /middle of an entry/],
    ];
    for (const [tar, message] of tars) {
      await assert.rejects(fixture.unpack(fixture.chain(tar)), { code: 'invalid', message });
      assert.deepEqual(readdirSync(fixture.root).sort(), ['init-1', 'l']);
    }
  } finally {
    await fixture.close();
  }
});

test('SEC-05 links cannot lead deeper than paths reach', { skip: needsRoot }, async () => {
  const fixture = new LayerFixture();
  try {
    const deep = 'd/'.repeat(1500);
    const entries: LayerEntry[] = [];
    for (let length = 2; length <= deep.length; length += 2) entries.push({ path: deep.slice(0, length) });
    entries.push(symlink('s', deep));
    for (let length = 2; length <= deep.length; length += 2) entries.push({ path: `s/${deep.slice(0, length)}` });
    await assert.rejects(fixture.unpack(fixture.chain(layerTar(...entries))), { code: 'invalid', message: /longer than 3840 bytes/ });
    assert.ok(!readdirSync(fixture.root).some((name) => name.startsWith('tmp-')), 'the deep tree was removed');
  } finally {
    await fixture.close();
  }
});

test('SEC-12 the init layer has directories and files where images put links', { skip: needsRoot }, async () => {
  const fixture = new LayerFixture();
  try {
    const refs = await fixture.unpack(fixture.chain(layerTar(symlink('dev', outside), symlink('proc', outside), symlink('etc', outside))));
    const { base, lowers } = fixture.store.mountOrder(refs);
    const merged = execFileSync(
      'unshare',
      [
        '-m',
        'sh',
        '-c',
        'mount -t overlay none -o "lowerdir=$1" /mnt && cd /mnt && find . -mindepth 1 -printf "%P %y %l\\n" | sort',
        'sh',
        [fixture.store.initLayer, ...lowers].join(':'),
      ],
      { cwd: base, encoding: 'utf8' },
    );
    const lines =
      'dev d|dev/console f|dev/pts d|dev/shm d|.dockerenv f|etc d|etc/hostname f|etc/hosts f|etc/mtab l /proc/mounts|etc/resolv.conf f|proc d|sys d';
    assert.deepEqual(
      merged
        .trimEnd()
        .split('\n')
        .map((line) => line.trimEnd())
        .sort(),
      lines.split('|').sort(),
    );
    assert.equal(readlinkSync(join(base, fixture.store.initLayer)), '../init-1/fs');
    assert.ok(existsSync(outside));
  } finally {
    await fixture.close();
  }
});
