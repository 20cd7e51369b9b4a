/**
 * commit on a daemon of ours: what the container changed and nothing else is in the image, which other engines take, and which is what they would have made.
 * Needs root, the docker CLI and busybox-static; the comparison needs the peer.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { engineRequest } from '../faults/engine-request.ts';
import { type CommandResult, runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { peerMissing, startPeer } from '../harness/peer.ts';
import { programEntry } from '../harness/program.ts';
import { output } from '../harness/running-containers.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

/** All kinds of changes: files, links, special files, removals, a directory made anew, one in the place of a file and the other way round. */
const changes = [
  'echo new >/bin/new; ln /bin/new /bin/new2; rm /bin/vi; chmod 4711 /bin/ed',
  'rm -r /home; mkdir /home; echo n >/home/n; rm -r /var; echo f >/var; rm /bin/who; mkdir -p /bin/who/d',
  'mkfifo /tmp/fifo; mknod /tmp/null c 1 3; ln -s ../etc /tmp/link; chown 7:8 /tmp/fifo; chmod 1700 /tmp; echo more >>/etc/passwd',
  'echo x >/volume/hidden; echo y >/memory/hidden; touch -d @1000000000 /tmp/old',
].join('; ');

suite('commit', { skip, timeout: 300_000 }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args]);
  const gantry = (...args: string[]): Promise<CommandResult> =>
    runCommand([process.execPath, '--no-warnings', programEntry, '-H', daemon.host, ...args]);

  const run = (image: string, script: string, ...options: string[]): Promise<string> =>
    output(docker('run', '--rm', '--network', 'none', ...options, image, 'sh', '-c', script));

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });
  after(() => daemon?.dispose());

  async function change(host: string): Promise<void> {
    const options = ['--name', 'changed', '--network', 'none', '-v', '/volume', '--tmpfs', '/memory'];
    await output(runCommand(['docker', '-H', host, 'run', ...options, 'busybox', 'sh', '-c', changes]));
  }

  /** Names, types, modes, owners, sizes and links of the top layer, sorted; what an engine is free to choose left out. */
  async function topLayer(host: string, image: string, folder: string): Promise<string[]> {
    const directory = join(daemon.directory, folder);
    mkdirSync(directory);
    const script = `docker -H ${host} save ${image} | tar -C ${directory} -x && cd ${directory} && tar --numeric-owner -tvf "$(sed 's/.*"Layers":\\[[^]]*"\\([^"]*\\)"\\].*/\\1/' manifest.json)"`;
    const lines = (await output(shell(script))).trim().split('\n');
    const facts = lines.map((line) => line.replace(/\d{4}-\d\d-\d\d \d\d:\d\d /, '').replace(/ +/g, ' '));
    // Markers are empty files whatever their mode; one for what hides no directory has no effect; a mount point's mode is nobody's.
    const comparable = facts.filter((line) => !line.endsWith(' bin/who/.wh..wh..opq') && !line.endsWith(' memory/'));
    return comparable.map((line) => (line.includes('.wh.') ? line.replace(/^\S+/, 'marker') : line)).sort();
  }

  test('what the container changed, without its volumes; author, message, changes and history', async () => {
    await change(daemon.host);
    const flags = ['-a', 'me <me@example.org>', '-m', 'a message', '-c', 'ENV NEW=1', '-c', 'CMD ["cat","/home/n"]', '-c', 'LABEL a=b'];
    const id = (await output(docker('commit', ...flags, 'changed', 'made:1'))).trim();
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    const [image] = JSON.parse(await output(docker('image', 'inspect', 'made:1'))) as Record<string, unknown>[];
    assert.deepEqual([image?.Id, image?.Author, image?.Comment], [id, 'me <me@example.org>', 'a message']);
    const config = image?.Config as Record<string, unknown>;
    assert.deepEqual([config.Cmd, config.Labels], [['cat', '/home/n'], { a: 'b' }]);
    assert.ok((config.Env as string[]).includes('NEW=1'));
    assert.equal(await output(docker('run', '--rm', '--network', 'none', 'made:1')), 'n\n');
    const look =
      'ls /bin/vi /volume/hidden /memory/hidden 2>/dev/null; cat /var /bin/new2; stat -c "%a %u:%g %F" /tmp /tmp/fifo /tmp/null /bin/who /bin/ed; ls /home; stat -c %Y /tmp/old';
    const expected =
      'f\nnew\n1700 0:0 directory\n644 7:8 fifo\n644 0:0 character special file\n755 0:0 directory\n4711 0:0 regular file\nn\n1000000000\n';
    assert.equal(await run('made:1', look), expected);
    const history = (await output(docker('history', '--no-trunc', '--format', '{{.CreatedBy}}|{{.Comment}}', 'made:1'))).split('\n');
    assert.equal(history[0], `sh -c ${changes}|a message`);
    assert.equal(history[1], 'busybox-static|');
    // The same changes give the same layer, whoever commits them.
    await output(gantry('commit', 'changed', 'again'));
    const layers = async (name: string) => await output(docker('image', 'inspect', '-f', '{{json .RootFS.Layers}}', name));
    assert.equal(await layers('again'), await layers('made:1'));
    await output(docker('rmi', 'made:1', 'again'));
  });

  test('the peer takes the image, and makes the same of the same changes', { skip: peerMissing() ?? false }, async () => {
    const peer = await startPeer();
    try {
      await loadBusybox(peer.host);
      await change(peer.host);
      await output(docker('commit', 'changed', 'ours'));
      await output(runCommand(['docker', '-H', peer.host, 'commit', 'changed', 'theirs']));
      const [ours, theirs] = [await topLayer(daemon.host, 'ours', 'ours'), await topLayer(peer.host, 'theirs', 'theirs')];
      assert.deepEqual(ours, theirs);
      await output(shell(`docker -H ${daemon.host} save ours | docker -H ${peer.host} load`));
      const look = ['run', '--rm', '--network', 'none', 'ours', 'sh', '-c', 'cat /var /home/n; ls /bin/vi || ls -d /bin/who/d'];
      assert.equal(await output(runCommand(['docker', '-H', peer.host, ...look])), 'f\nn\n/bin/who/d\n');
      const diff = async (host: string) => (await output(runCommand(['docker', '-H', host, 'diff', 'changed']))).split('\n').sort();
      assert.deepEqual(await diff(daemon.host), await diff(peer.host));
    } finally {
      await peer.stop();
    }
    await output(docker('rmi', 'ours'));
    await output(docker('rm', '-v', 'changed'));
  });

  test('a running container stands still while its changes are read, unless asked otherwise', async () => {
    await output(docker('run', '-d', '--name', 'busy', '--network', 'none', 'busybox', 'sh', '-c', 'while :; do echo x >>/log; done'));
    const since = Math.floor(Date.now() / 1000);
    await output(docker('commit', 'busy', 'paused'));
    await output(docker('commit', '--pause=false', 'busy', 'unpaused'));
    const events = await output(
      docker(
        'events',
        '--since',
        String(since),
        '--until',
        String(Math.ceil(Date.now() / 1000)),
        '--filter',
        'container=busy',
        '--format',
        '{{.Action}}',
      ),
    );
    assert.deepEqual(events.trim().split('\n').slice(-4), ['pause', 'unpause', 'commit', 'commit']);
    assert.equal((await output(docker('inspect', '-f', '{{.State.Status}}', 'busy'))).trim(), 'running');
    assert.match(await run('paused', 'tail -n 1 /log'), /^x$/m);
    await output(docker('rm', '-f', 'busy'));
    await output(docker('rmi', 'paused', 'unpaused'));
  });

  test('nothing changed, a configuration of its own, wrong requests', async () => {
    await output(docker('create', '--name', 'plain', '--network', 'none', '-l', 'own=1', '-e', 'OWN=1', 'busybox', 'true'));
    const commit = (query: string, body: unknown = null) => engineRequest(daemon.host, 'POST', `/commit?${query}`, body);
    assert.equal((await commit('container=plain&repo=same'))?.status, 201);
    const layers = async (name: string) => await output(docker('image', 'inspect', '-f', '{{json .RootFS.Layers}}', name));
    assert.equal(await layers('same'), await layers('busybox'));
    assert.equal((await commit('container=plain&repo=own', { Cmd: ['a'], Labels: { q: 'r' }, Env: ['Z=1'] }))?.status, 201);
    const { Cmd, Labels, Env } = JSON.parse(await output(docker('image', 'inspect', '-f', '{{json .Config}}', 'own')));
    assert.deepEqual([Cmd, Labels, Env[0], Env[1]], [['a'], { q: 'r', own: '1' }, 'Z=1', 'OWN=1']);
    assert.equal((await commit('container=none'))?.status, 404);
    assert.equal((await commit(''))?.status, 400);
    assert.equal((await commit('container=plain&repo=UPPER'))?.status, 400);
    assert.match((await commit('container=plain&changes=RUN%20x'))?.body ?? '', /run is not a valid change command/);
    await output(docker('rm', 'plain'));
    await output(docker('rmi', 'same', 'own'));
  });
});
