/**
 * cp, export and diff on a daemon of ours: docker and gantry command lines, hostile archives, containers that swap names while their files are copied, and
 * clients that leave. Needs root, the docker CLI and busybox-static.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { encodeTarHeader, endOfArchive, type NewTarEntry } from '../../src/archive/tar-writer.ts';
import { type EngineReply, engineRequest } from '../faults/engine-request.ts';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { programEntry } from '../harness/program.ts';
import { output } from '../harness/running-containers.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const swapNames = join(import.meta.dirname, 'swap-names.ts');

/** An archive of these entries; text is the content of a file. */
function tarOf(...entries: readonly (NewTarEntry & { readonly text?: string })[]): Buffer {
  const parts = entries.map(({ text = '', ...given }) => {
    const content = Buffer.from(text);
    const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
    return Buffer.concat([encodeTarHeader({ ...given, sizeBytes: content.length }), content, padding]);
  });
  return Buffer.concat([...parts, endOfArchive]);
}

suite("containers' files", { skip, timeout: 300_000 }, () => {
  let daemon: GantryDaemon;
  let local: string;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);
  const gantry = (...args: string[]): Promise<CommandResult> =>
    runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);

  async function refused(result: Promise<CommandResult>, text: RegExp): Promise<void> {
    const { status, stderr } = await result;
    assert.notEqual(status, 0);
    assert.match(stderr, text);
  }

  async function running(name: string, script: string, ...options: string[]): Promise<void> {
    const command = ['sh', '-c', `${script}; echo ready; exec sleep 100000`];
    await output(docker('run', '-d', '--name', name, '--network', 'none', ...options, 'busybox', ...command));
    for (let attempt = 0; attempt < 400; attempt++) {
      if ((await output(docker('logs', name))).includes('ready')) return;
      await delay(50);
    }
    throw new Error(`${name} did not get ready`);
  }

  const inside = (name: string, script: string): Promise<string> => output(docker('exec', name, 'sh', '-c', script));
  const remove = (...names: string[]): Promise<string> => output(docker('rm', '-f', '-v', ...names));

  async function put(name: string, path: string, tar: Uint8Array, query = ''): Promise<EngineReply> {
    const reply = await engineRequest(daemon.host, 'PUT', `/containers/${name}/archive?path=${encodeURIComponent(path)}${query}`, tar);
    assert.ok(reply);
    return reply;
  }

  const get = (name: string, path: string): Promise<EngineReply | null> =>
    engineRequest(daemon.host, 'GET', `/containers/${name}/archive?path=${encodeURIComponent(path)}`);

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    local = join(daemon.directory, 'local');
    await output(
      shell(
        `set -e; mkdir -p ${local}/d/sub; cd ${local}/d; echo one >one; echo two >sub/two; ln -s one link; ln one hard; mkfifo fifo; chown 7:8 one; chmod 4640 one; truncate -s 8M sparse`,
      ),
    );
  });
  after(() => daemon?.dispose());

  test('docker cp: in and out, into mounts, by links, running and stopped', async () => {
    await running('copied', 'ln -s /run /var/run; mkdir /run; echo 1 >/run/pid; mkdir /dir', '-v', 'data:/data', '--tmpfs', '/memory');
    await output(docker('cp', `${local}/d`, 'copied:/new'));
    assert.equal(await inside('copied', 'cd /new; find . | sort | tr "\\n" " "'), '. ./fifo ./hard ./link ./one ./sparse ./sub ./sub/two ');
    assert.equal(await inside('copied', 'stat -c "%a %u:%g %h" /new/one; cat /new/hard'), '4640 7:8 2\none\n');
    assert.ok(Number(await inside('copied', 'stat -c %b /new/sparse')) < 1024, 'holes stay holes');
    await output(docker('cp', `${local}/d/.`, 'copied:/dir'));
    await output(docker('cp', `${local}/d/one`, 'copied:/var/run/here'));
    assert.equal(await inside('copied', 'cat /dir/sub/two /run/here'), 'two\none\n');
    await output(docker('cp', `${local}/d/one`, 'copied:/data/'));
    await output(docker('cp', `${local}/d/one`, 'copied:/memory/'));
    assert.equal(await inside('copied', 'cat /data/one /memory/one'), 'one\none\n');
    for (const [from, to] of [
      ['/var/run/pid', 'pid'],
      ['/data', 'data'],
      ['/memory/one', 'memory'],
      ['/new', 'new'],
    ] as const)
      await output(docker('cp', `copied:${from}`, join(local, to)));
    assert.equal(readFileSync(join(local, 'pid'), 'utf8'), '1\n');
    assert.equal(readFileSync(join(local, 'data/one'), 'utf8'), 'one\n');
    assert.ok(statSync(join(local, 'new/fifo')).isFIFO());
    assert.equal(statSync(join(local, 'new/hard')).nlink, 2);
    assert.match(await output(docker('cp', 'copied:/proc/1/status', '-')), /Name:\tsleep/);
    await refused(docker('cp', 'copied:/proc', '-'), /cannot copy the directory \/proc: it shows the kernel/);
    await output(docker('stop', '-t', '0', 'copied'));
    await output(docker('cp', `${local}/d`, 'copied:/data/stopped'));
    await output(docker('cp', `${local}/d`, 'copied:/stopped'));
    await output(docker('cp', 'copied:/data/stopped/one', join(local, 'stopped')));
    await refused(docker('cp', 'copied:/memory/one', local), /Could not find the file \/memory\/one in container copied/);
    assert.match(await output(docker('cp', 'copied:/etc/hosts', '-')), /localhost/);
    await output(docker('start', 'copied'));
    assert.equal(await inside('copied', 'cat /data/stopped/sub/two /stopped/one'), 'two\none\n');
    await remove('copied');
  });

  test('a container that never ran: its volumes are reached, their mount points made', async () => {
    await output(docker('create', '--name', 'fresh', '--network', 'none', '-v', 'deep:/a/b/c', 'busybox', 'cat', '/a/b/c/one', '/etc/one'));
    assert.equal(await output(shell(`docker -H ${daemon.host} cp fresh:/a/b/c - | tar tf -`)), 'c/\n');
    await output(docker('cp', `${local}/d/one`, 'fresh:/a/b/c/'));
    await output(docker('cp', `${local}/d/one`, 'fresh:/etc/'));
    assert.equal(await output(docker('start', '-a', 'fresh')), 'one\none\n');
    await remove('fresh');
  });

  test('read-only roots and volumes refuse, in the words of Docker', async () => {
    const options = ['--read-only', '-v', 'ro:/ro:ro', '-v', 'rw:/rw'];
    await output(docker('create', '--name', 'sealed', '--network', 'none', ...options, 'busybox', 'sleep', '1000'));
    const check = async () => {
      assert.deepEqual(await put('sealed', '/', tarOf({ type: 'file', path: 'x' })), {
        status: 403,
        body: '{"message":"container rootfs is marked read-only"}\n',
      });
      assert.deepEqual(await put('sealed', '/ro', tarOf({ type: 'file', path: 'x' })), {
        status: 403,
        body: '{"message":"mounted volume is marked read-only"}\n',
      });
      assert.equal((await put('sealed', '/rw', tarOf({ type: 'file', path: 'x' }))).status, 200);
    };
    await check();
    await output(docker('start', 'sealed'));
    await check();
    await remove('sealed');
  });

  test('what is mounted is written in place, and never removed from outside', async () => {
    await running('mounted', 'mkdir -p /w; echo kept >/v/file', '-v', 'kept:/v');
    assert.equal((await put('mounted', '/etc', tarOf({ type: 'file', path: 'hosts', text: 'mine\n' }))).status, 200);
    assert.equal(await inside('mounted', 'cat /etc/hosts; grep -c /etc/hosts /proc/mounts'), 'mine\n1\n');
    const { status, body } = await put('mounted', '/', tarOf({ type: 'file', path: 'v', text: 'x' }));
    assert.deepEqual([status, body.includes('something is mounted there')], [400, true], body);
    assert.equal((await put('mounted', '/', tarOf({ type: 'symbolic-link', path: 'etc', linkTarget: '/w' }))).status, 409);
    assert.equal(await inside('mounted', 'cat /v/file; grep -c " /v " /proc/mounts'), 'kept\n1\n');
    assert.equal((await put('mounted', '/', tarOf({ type: 'directory', path: 'w/d' }, { type: 'file', path: 'w/d/f' }))).status, 200);
    const clash = await put('mounted', '/w', tarOf({ type: 'file', path: 'd' }), '&noOverwriteDirNonDir=1');
    assert.deepEqual(clash, { status: 400, body: '{"message":"cannot overwrite directory \\"/w/d\\" with non-directory \\"d\\""}\n' });
    assert.equal((await put('mounted', '/w', tarOf({ type: 'file', path: 'd', text: 'f' }))).status, 200);
    assert.equal(await inside('mounted', 'cat /w/d'), 'f');
    await output(docker('stop', '-t', '0', 'mounted'));
    assert.equal((await put('mounted', '/', tarOf({ type: 'file', path: 'v', text: 'x' }))).status, 400);
    assert.equal((await put('mounted', '/', tarOf({ type: 'symbolic-link', path: 'etc', linkTarget: '/w' }))).status, 409);
    await remove('mounted');
  });

  test('copyUIDGID: by the names of the container itself', async () => {
    await running('owned', 'true', '-u', 'user');
    const tar = tarOf({ type: 'file', path: 'x', uid: 3, gid: 4 });
    await put('owned', '/tmp', tar, '&copyUIDGID=true');
    assert.equal(await inside('owned', 'stat -c %u:%g /tmp/x'), '1000:1000\n');
    await put('owned', '/tmp', tar);
    assert.equal(await inside('owned', 'stat -c %u:%g /tmp/x'), '3:4\n');
    await remove('owned');
  });

  test('gantry cp: as docker cp, and between two containers', async () => {
    await running(
      'left',
      'mkdir -p /s/sub; echo q >/s/q; chown 9:10 /s/q; ln /s/q /s/h; ln -s q /s/l; echo z >/s/sub/z',
      '-v',
      'from:/from',
    );
    await output(docker('create', '--name', 'right', '--network', 'none', '-v', 'to:/to', 'busybox', 'true'));
    await output(gantry('cp', 'left:/s', 'right:/to/new'));
    await output(gantry('cp', 'left:/s/.', 'right:/tmp'));
    await output(gantry('cp', '-L', 'left:/s/l', 'right:/to/file'));
    await output(gantry('cp', `${local}/d`, 'right:/to'));
    await output(gantry('cp', '-a', 'right:/to', join(local, 'own')));
    assert.deepEqual(readdirSync(join(local, 'own')).sort(), ['d', 'file', 'new']);
    assert.deepEqual([statSync(join(local, 'own/new/q')).uid, statSync(join(local, 'own/new/h')).nlink], [9, 2]);
    assert.equal(readlinkSync(join(local, 'own/new/l')), 'q');
    assert.equal(readFileSync(join(local, 'own/file'), 'utf8'), 'q\n');
    assert.ok(statSync(join(local, 'own/d/sparse')).blocks < 1024);
    await refused(gantry('cp', 'left:/s', 'right:/tmp/q'), /cannot copy directory/);
    await refused(gantry('cp', 'left:/none', 'right:/'), /Could not find the file \/none in container left/);
    await refused(gantry('cp', join(local, 'none'), 'right:/'), /no such file or directory/);
    await remove('left', 'right');
  });

  test('export and diff: without what is mounted', async () => {
    const script =
      'rm /bin/vi; rm -r /home; mkdir -p /home/x; echo new >/w; echo more >>/etc/passwd; echo a >/v/hidden; ln /w /w2; chmod 711 /var';
    await running('changed', script, '-v', 'hidden:/v');
    const expected = ['C /bin', 'D /bin/vi', 'C /etc', 'C /etc/passwd', 'C /home', 'A /home/x', 'A /v', 'C /var', 'A /w', 'A /w2'];
    const lines = (text: string): string[] => text.trim().split('\n');
    // Recreated, it is as it was: the directory itself counts for what is in it.
    assert.deepEqual(lines(await output(docker('diff', 'changed'))).sort(), expected.sort());
    const listing = () => output(shell(`docker -H ${daemon.host} export changed | tar tvf - | grep -v ' bin/'`));
    const whole = await listing();
    assert.match(whole, / etc\/passwd\n/);
    assert.match(whole, /hrw-r--r-- .* w2 link to w\n/);
    assert.doesNotMatch(whole, /hidden| proc\/.| sys\/.|bin\/vi/);
    await output(docker('stop', '-t', '0', 'changed'));
    assert.equal(await listing(), whole);
    assert.deepEqual(lines(await output(gantry('diff', 'changed'))).sort(), expected);
    await remove('changed');
  });

  test('SEC-01, SEC-04, SEC-05: hostile archives stay inside', async () => {
    const canary = join(daemon.directory, 'canary');
    mkdirSync(canary);
    await running('hostile', 'mkdir /w');
    const refusedTars: readonly Buffer[] = [
      tarOf({ type: 'file', path: '../../evil', text: 'x' }),
      tarOf({ type: 'file', path: 'a/../../evil', text: 'x' }),
      tarOf({ type: 'hard-link', path: 'l', linkTarget: '../../etc/passwd' }),
      tarOf({ type: 'hard-link', path: 'l', linkTarget: '/etc/shadow-none' }),
      tarOf({ type: 'file', path: 'x', text: 'x' }).subarray(0, 700),
      Buffer.from('not an archive at all'),
    ];
    for (const tar of refusedTars) assert.equal((await put('hostile', '/w', tar)).status, 400);
    const through = tarOf({ type: 'symbolic-link', path: 'out', linkTarget: canary }, { type: 'file', path: 'out/evil', text: 'x' });
    await put('hostile', '/w', through);
    const up = tarOf(
      { type: 'symbolic-link', path: 'up', linkTarget: '../../../../../../..' },
      { type: 'file', path: 'up/landed', text: 'x' },
    );
    assert.equal((await put('hostile', '/w', up)).status, 200);
    assert.equal(await inside('hostile', 'ls /landed'), '/landed\n', "a link out of the root leads to the container's own");
    const marked = tarOf({
      type: 'directory',
      path: 'bin2',
      extendedAttributes: new Map([['trusted.overlay.opaque', Buffer.from('y')]]),
    });
    assert.equal((await put('hostile', '/', marked)).status, 200);
    assert.equal((await put('hostile', '/', tarOf({ type: 'file', path: '.wh.bin' }))).status, 200);
    assert.equal(await inside('hostile', 'ls /bin/sh; ls -a / | grep .wh.'), '/bin/sh\n.wh.bin\n');
    assert.deepEqual(readdirSync(canary), []);
    assert.equal(existsSync('/landed'), false);
    await remove('hostile');
  });

  test('SEC-07: names that a container exchanges meanwhile lead nowhere else', async () => {
    const canary = join(daemon.directory, 'outside');
    mkdirSync(join(canary, 'sub'), { recursive: true });
    writeFileSync(join(canary, 'sub/secret'), 'secret of the host');
    const bound = join(daemon.directory, 'bound');
    mkdirSync(bound);
    await running('racer', 'mkdir -p /race', '-v', `${bound}:/bound`);
    const pid = (await output(docker('inspect', '-f', '{{.State.Pid}}', 'racer'))).trim();
    const places = [`/proc/${pid}/root/race`, bound];
    for (const place of places) {
      mkdirSync(join(place, 'real/sub'), { recursive: true });
      writeFileSync(join(place, 'real/sub/secret'), 'of the container');
      symlinkSync(canary, join(place, 'link'));
    }
    const swappers: ChildProcess[] = [];
    try {
      for (const place of places) {
        const swapper = spawn(process.execPath, [swapNames, place, 'real', 'link'], { stdio: ['pipe', 'pipe', 'inherit'] });
        swappers.push(swapper);
        await new Promise((ready) => swapper.stdout?.once('data', ready));
      }
      const seen = { found: 0, missing: 0 };
      const tar = tarOf({ type: 'directory', path: 'sub/made' }, { type: 'file', path: 'sub/written', text: 'x' });
      const deadline = performance.now() + 5000;
      for (let round = 0; round < 100 && (performance.now() < deadline || seen.missing === 0); round++) {
        for (const place of ['/race', '/bound']) {
          const read = await get('racer', `${place}/real/sub/`);
          assert.doesNotMatch(read?.body ?? '', /secret of the host/);
          if (read?.status === 200) seen.found++;
          else seen.missing++;
          await put('racer', `${place}/real`, tar);
          await get('racer', `${place}`).then((whole) => assert.doesNotMatch(whole?.body ?? '', /secret of the host/));
        }
      }
      assert.ok(seen.found > 0 && seen.missing > 0, `the names were exchanged: ${JSON.stringify(seen)}`);
    } finally {
      for (const swapper of swappers) swapper.stdin?.end();
    }
    assert.deepEqual(readdirSync(canary), ['sub']);
    assert.deepEqual(readdirSync(join(canary, 'sub')), ['secret']);
    assert.equal(readFileSync(join(canary, 'sub/secret'), 'utf8'), 'secret of the host');
    await remove('racer');
  });

  test("SEC-08, SEC-17: nothing of the image is executed, no path leads above the container's root", async () => {
    const trojan =
      'for t in xz unxz unpigz gzip gunzip tar zstd; do rm -f /bin/$t; printf "#!/bin/sh\\ntouch /pwned\\n" >/bin/$t; chmod 755 /bin/$t; done';
    await running('trojan', trojan);
    assert.equal((await put('trojan', '/tmp', gzipSync(tarOf({ type: 'file', path: 'x', text: 'x' })))).status, 200);
    assert.equal((await get('trojan', '/tmp'))?.status, 200);
    await output(shell(`docker -H ${daemon.host} export trojan | tar tf - >/dev/null`));
    assert.equal(await inside('trojan', 'ls /pwned 2>/dev/null || echo clean; cat /tmp/x'), 'clean\nx');
    writeFileSync(join(daemon.directory, 'of-the-host'), '');
    assert.equal((await get('trojan', `/../../../..${daemon.directory}/of-the-host`))?.status, 404);
    assert.equal((await get('..%2F..%2Fetc', '/'))?.status, 404);
    await remove('trojan');
  });

  test('clients that leave, and containers that go: nothing stays behind', async () => {
    await running('left-alone', 'dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null');
    const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;
    const ours = (line: string): boolean => line.includes(daemon.directory);
    const mounts = (): string[] => readFileSync(`/proc/${daemon.pid}/mountinfo`, 'utf8').split('\n').filter(ours);
    const [openBefore, mountsBefore] = [descriptors(), mounts()];
    const leave = (method: string, path: string, body?: Buffer): Promise<void> =>
      new Promise((done) => {
        const sent = request({ socketPath: daemon.host.replace('unix://', ''), method, path, headers: { 'Transfer-Encoding': 'chunked' } });
        sent.on('error', () => done());
        sent.on('response', (response) => response.once('data', () => sent.destroy()));
        sent.on('close', () => done());
        if (body === undefined) sent.end();
        else sent.write(body, () => setTimeout(() => sent.destroy(), 100));
      });
    const half = tarOf({ type: 'file', path: 'half', text: 'x'.repeat(100_000) }).subarray(0, 50_000);
    for (let round = 0; round < 5; round++) {
      await leave('GET', '/containers/left-alone/archive?path=/big');
      await leave('GET', '/containers/left-alone/export');
      await leave('PUT', '/containers/left-alone/archive?path=/tmp', half);
    }
    await output(docker('stop', '-t', '0', 'left-alone'));
    await leave('GET', '/containers/left-alone/archive?path=/big');
    await leave('PUT', '/containers/left-alone/archive?path=/tmp', half);
    for (let attempt = 0; attempt < 100 && descriptors() > openBefore; attempt++) await delay(100);
    assert.ok(descriptors() <= openBefore, `descriptors: ${openBefore} before, ${descriptors()} after`);
    assert.deepEqual(mounts(), mountsBefore);
    const slow = leave('PUT', '/containers/left-alone/archive?path=/tmp', half.subarray(0, 512));
    await remove('left-alone');
    await slow;
  });

  test('more stuck clients than threads: a copy gets through, and a removal ends them all', async () => {
    await running('popular', 'dd if=/dev/zero of=/big bs=1M count=4 2>/dev/null');
    const stuck = Array.from({ length: 20 }, () => {
      const socket = connect(daemon.host.replace('unix://', ''));
      socket.on('error', () => {});
      socket.write('GET /containers/popular/archive?path=/big HTTP/1.1\r\nHost: d\r\n\r\n');
      return socket.pause();
    });
    await delay(500);
    assert.equal((await get('popular', '/etc/passwd'))?.status, 200);
    const began = performance.now();
    assert.equal((await engineRequest(daemon.host, 'GET', '/_ping'))?.status, 200);
    assert.ok(performance.now() - began < 1000);
    for (const socket of stuck) socket.destroy();
    await remove('popular');
  });

  test('a container that goes while it is read is no whole archive', async () => {
    await output(docker('run', '--name', 'going', '--network', 'none', 'busybox', 'dd', 'if=/dev/zero', 'of=/big', 'bs=1M', 'count=64'));
    const socket = connect(daemon.host.replace('unix://', ''));
    let tail = '';
    const closed = new Promise((done) => socket.on('close', done));
    socket.on('error', () => {});
    socket.write('GET /containers/going/export HTTP/1.1\r\nHost: d\r\n\r\n');
    await new Promise((ready) => socket.once('data', ready));
    socket.pause();
    await remove('going');
    socket.on('data', (chunk: Buffer) => {
      tail = (tail + chunk.toString('latin1')).slice(-100);
    });
    socket.resume();
    await closed;
    assert.doesNotMatch(tail, /0\r\n\r\n$/, 'the answer is cut off, not ended');
  });

  test('a user namespace of its own: owners are those inside, and nobody else', async (context) => {
    const started = await gantry(
      'run',
      '-d',
      '--name',
      'mapped',
      '--userns',
      'auto',
      '--network',
      'none',
      '-v',
      'kept:/v',
      'busybox',
      'sleep',
      '1000',
    );
    if (/needs Linux/.test(started.stderr)) return context.skip(started.stderr);
    await output(Promise.resolve(started));
    const tar = tarOf(
      { type: 'directory', path: 'd', uid: 7, gid: 8 },
      { type: 'file', path: 'd/f', uid: 5 },
      { type: 'file', path: 'made/g' },
    );
    for (const place of ['/tmp', '/v']) assert.deepEqual(await put('mapped', place, tar), { status: 200, body: '' });
    const owners = 'stat -c %u:%g d d/f made made/g | tr "\\n" " "';
    const expected = '7:8 5:0 0:0 0:0 ';
    for (const place of ['/tmp', '/v']) assert.equal(await inside('mapped', `cd ${place}; ${owners}`), expected);
    const copied = () =>
      output(shell(`docker -H ${daemon.host} cp mapped:/v - | tar --numeric-owner -tvf - | grep ' v/d/f' | cut -d' ' -f2`));
    assert.equal(await copied(), '5/0\n');
    assert.equal((await put('mapped', '/tmp', tarOf({ type: 'file', path: 'x', uid: 70_000 }))).status, 400);
    await output(docker('stop', '-t', '0', 'mapped'));
    assert.equal(await copied(), '5/0\n');
    assert.equal((await put('mapped', '/v', tar)).status, 200);
    await output(docker('start', 'mapped'));
    assert.equal(await inside('mapped', `cd /v; ${owners}`), expected);
    await remove('mapped');
  });

  test('a full disk: an error that says so, and no file that is not whole', async () => {
    await running('full', 'true', '--tmpfs', '/small:size=1m');
    const reply = await put(
      'full',
      '/small',
      tarOf({ type: 'file', path: 'a', text: 'a' }, { type: 'file', path: 'b', text: 'x'.repeat(3_000_000) }),
    );
    assert.equal(reply.status, 500);
    assert.match(reply.body, /the disk is full/);
    assert.equal(await inside('full', 'ls /small'), 'a\n');
    await remove('full');
  });

  test('a start does not wait for a client that sends nothing', async () => {
    await output(docker('create', '--name', 'waited', '--network', 'none', 'busybox', 'true'));
    const path = '/containers/waited/archive?path=/tmp';
    const stuck = request({
      socketPath: daemon.host.replace('unix://', ''),
      method: 'PUT',
      path,
      headers: { 'Transfer-Encoding': 'chunked' },
    });
    const answer = new Promise<number>((done) => {
      stuck.on('error', () => done(-1));
      stuck.on('response', (response) => done(response.statusCode ?? 0));
    });
    stuck.write(Buffer.alloc(100, 'x'));
    await delay(300);
    await output(docker('start', '-a', 'waited'));
    assert.equal(await answer, 409);
    stuck.destroy();
    await remove('waited');
  });

  test('a local tree with a link to a directory, and files nobody may read, from a container', async () => {
    await running('modes', 'mkdir -p /m/closed; echo x >/m/closed/f; chmod 0 /m/closed/f; chmod 500 /m/closed');
    const target = join(local, 'modes');
    mkdirSync(target);
    symlinkSync(target, join(local, 'to-modes'));
    await output(gantry('cp', 'modes:/m', join(local, 'to-modes')));
    assert.equal(lstatSync(join(target, 'm/closed')).mode & 0o777, 0o500);
    assert.equal(readFileSync(join(target, 'm/closed/f'), 'utf8'), 'x\n');
    chmodSync(join(target, 'm/closed'), 0o700);
    await remove('modes');
  });
});
