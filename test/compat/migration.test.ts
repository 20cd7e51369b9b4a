/** The commands of docs/migration.md, from the peer to us. Needs root, the peer and busybox-static. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand, shell } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { type Peer, peerMissing, startPeer } from '../harness/peer.ts';
import { programEntry } from '../harness/program.ts';

const guide = readFileSync(fileURLToPath(new URL('../../docs/migration.md', import.meta.url)), 'utf8');
const skip = peerMissing() ?? false;

suite('docs/migration.md', { skip }, () => {
  let peer: Peer;
  let gantry: GantryDaemon;

  before(async () => {
    [peer, gantry] = await Promise.all([startPeer(), startGantry()]);
    await loadBusybox(peer.host);
  });

  after(async () => {
    await peer?.stop();
    await gantry?.dispose();
  });

  test('images, volumes, networks and a changed container come along', async () => {
    const made = await shell(
      `set -e
      docker tag busybox app:1
      tar -C /etc -c hostname | docker import - data:1
      docker volume create db; docker network create --subnet 10.77.3.0/24 back
      docker run --rm -v db:/v busybox sh -c 'echo hello >/v/f; chown 7:8 /v/f; chmod 640 /v/f; ln /v/f /v/h; ln -s f /v/l; mkfifo /v/p'
      docker run -d --name web --network back -v db:/data app:1 sh -c 'echo changed >/etc/changed; exec sleep 1000'`,
      { env: { ...process.env, DOCKER_HOST: peer.host } },
    );
    assert.equal(made.status, 0, made.stderr);
    const imageOf = async (host: string) => (await docker(host, 'image', 'inspect', '-f', '{{.Id}}', 'app:1', 'data:1')).stdout;
    const moved = await shell(
      [
        'set -e',
        `old="docker -H ${peer.host}"`,
        `new="${process.execPath} --no-warnings ${programEntry} -H ${gantry.host}"`,
        'container=web',
        ...commands(),
      ].join('\n'),
    );
    assert.equal(moved.status, 0, moved.stderr);
    assert.equal(await imageOf(gantry.host), await imageOf(peer.host));
    const inspect = await docker(gantry.host, 'network', 'inspect', '-f', '{{range .IPAM.Config}}{{.Subnet}}{{end}}', 'back');
    assert.equal(inspect.stdout, '10.77.3.0/24\n');
    const look = 'cat /etc/changed /data/f; stat -c "%a %u %g %h %F" /data/f /data/h /data/l /data/p';
    const { stdout } = await docker(gantry.host, 'run', '--rm', '--network', 'back', '-v', 'db:/data', 'web-state', 'sh', '-c', look);
    const file = '640 7 8 2 regular file\n';
    assert.equal(stdout, `changed\nhello\n${file}${file}777 0 0 1 symbolic link\n644 0 0 1 fifo\n`);
  });
});

/** The blocks of the guide in their order, but for the first, which names the engines, and those that change the machine. */
function commands(): readonly string[] {
  return [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '').slice(1);
}

function docker(host: string, ...args: readonly string[]) {
  return runCommand(['docker', '-H', host, ...args]);
}
