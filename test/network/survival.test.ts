/**
 * What goes on while the daemon is away or the host's rules are flushed: an open TCP flow loses nothing, every DNS query is answered, published ports are
 * served; and at the end nothing is left in the kernel.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { importDebian } from '../harness/images.ts';
import { hostAddress, startTwoHosts, type TwoHosts } from './two-hosts.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

/** Echoes lines for ever. */
const echoServer = `
import socket, threading
def serve(c):
    f = c.makefile("rwb", 0)
    for line in f: f.write(line)
s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0); s.bind(("::", 80)); s.listen(16)
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()`;

/** Sends a numbered line every 5 ms, checks each echo, says how many came back; ends with its input. */
const flowClient = `
import socket, sys, select, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); f = s.makefile("rwb", 0); n = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    f.write(b"%d\\n" % n); assert f.readline() == b"%d\\n" % n; n += 1; time.sleep(0.005)
print(n)`;

const dnsLoop = `
import socket, time, sys
n = bad = 0; end = time.time() + float(sys.argv[1])
while time.time() < end:
    try: socket.getaddrinfo("echo", 80); n += 1
    except OSError as e: bad += 1
    time.sleep(0.02)
print(n, bad)`;

let world: TwoHosts;

describe('networks survive', { skip }, () => {
  before(async () => {
    world = await startTwoHosts();
    await importDebian(world.daemon.host);
    await world.docker('network', 'create', '--ipv6', 'net');
    await world.docker('run', '-d', '--name', 'echo', '--network', 'net', '-p', '8080:80', 'debian:test', 'python3', '-c', echoServer);
    await world.docker('run', '-d', '--name', 'asks', '--network', 'net', 'debian:test', 'sleep', '1000');
    assert.equal(await retried(() => echo(hostAddress.v4)), 'hello', 'the server listens');
  });
  after(() => world.dispose());

  it('the death of the daemon: flows go on, names are answered, ports are open', async () => {
    const flow = startFlow();
    const names = spawnPython([
      'docker',
      '-H',
      world.daemon.host,
      'exec',
      '-d',
      'asks',
      'sh',
      '-c',
      `python3 -c '${dnsLoop.replaceAll("'", '"')}' 7 >/tmp/result`,
    ]);
    await ended(names);
    await delay(1000);
    await world.daemon.crash();
    assert.equal(await echo(hostAddress.v4), 'hello', 'a new connection while the daemon is dead');
    await delay(2000);
    await world.daemon.restart();
    assert.equal(await echo(hostAddress.v4), 'hello', 'a new connection afterwards');
    assert.equal(await echo(hostAddress.v6), 'hello');
    assert.ok((await flow.finish()) > 100);
    await delay(4000);
    const [answered, failed] = (await world.docker('exec', 'asks', 'cat', '/tmp/result')).split(' ').map(Number);
    assert.ok((answered ?? 0) > 5, `${answered} answered`);
    assert.equal(failed, 0);
  });

  it('after the restart ports, networks and names can be changed as before', async () => {
    await world.docker('network', 'create', 'second');
    await world.docker('network', 'connect', 'second', 'echo');
    await world.docker('network', 'disconnect', 'second', 'echo');
    await world.docker('network', 'rm', 'second');
    await world.docker('restart', '-t', '0', 'echo');
    assert.equal(await retried(() => echo(hostAddress.v4)), 'hello');
  });

  it('SEC-34: `nft flush ruleset` by somebody else', async () => {
    const flow = startFlow();
    await delay(300);
    assert.equal((await world.onHost(['nft', 'flush', 'ruleset'])).status, 0);
    await delay(1000);
    assert.equal(await echo(hostAddress.v4), 'hello');
    await world.docker('exec', 'asks', 'python3', '-c', 'import socket; socket.getaddrinfo("echo", 80)');
    assert.ok((await flow.finish()) > 50);
  });

  it("a host whose own forward chain drops: container traffic passes, the host's rules stay", async () => {
    const rules = 'add table inet corp; add chain inet corp forward { type filter hook forward priority 0; policy drop; }';
    assert.equal((await world.onHost(['nft', rules])).status, 0);
    await world.daemon.crash();
    await world.daemon.restart();
    assert.equal(await echo(hostAddress.v4), 'hello');
    assert.match((await world.onHost(['nft', 'list', 'chain', 'inet', 'corp', 'forward'])).stdout, /policy drop/);
  });

  it('nothing is left when all is removed', async () => {
    await world.docker('rm', '-f', 'echo', 'asks');
    await world.docker('network', 'rm', 'net');
    await world.daemon.stop();
    await delay(300);
    const links = (await world.onHost(['ip', '-o', 'link'])).stdout;
    assert.doesNotMatch(links, /gantry|veth.*master|br-/);
    assert.doesNotMatch((await world.onHost(['nft', 'list', 'ruleset'])).stdout, /gantry/);
  });
});

/** A flow from the other host through the published port, until `finish`, which tells how many lines came back. */
function startFlow() {
  const child = spawn('nsenter', [`--net=/run/netns/${world.lanNamespace}`, '/usr/bin/python3', '-c', flowClient, hostAddress.v4, '8080'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // From the start: one that ended early has a reason to tell.
  const end = ended(child);
  child.stdin.on('error', () => undefined);
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  return {
    async finish(): Promise<number> {
      child.stdin.end('\n');
      const code = await end;
      assert.equal(code, 0, err);
      return Number(out);
    },
  };
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('close', resolve));
}

function spawnPython([file = '', ...args]: readonly string[]): ChildProcess {
  return spawn(file, args, { stdio: 'ignore' });
}

async function echo(address: string): Promise<string> {
  const script =
    'import socket, sys; s = socket.create_connection((sys.argv[1], 8080), 3); s.sendall(b"hello\\n"); print(s.makefile().readline().strip())';
  const { stdout, stderr } = await world.onLan(['/usr/bin/python3', '-c', script, address], { timeoutMs: 10_000 });
  return stdout.trim() === '' ? `nothing: ${stderr.trim().split('\n').at(-1)}` : stdout.trim();
}

async function retried(work: () => Promise<string>): Promise<string> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const result = await work();
    if (!result.startsWith('nothing')) return result;
    await delay(100);
  }
  return await work();
}
