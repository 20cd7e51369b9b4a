/**
 * The same command line through `docker` and `gantry`, against a daemon that only listens: both must ask for the same container.
 * Zero values count as absent, since the API gives both the same meaning.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { runCli } from '../../src/cli/cli.ts';

const docker = ['/usr/local/bin/docker', '/usr/bin/docker'].find((path) => existsSync(path));

/** Each line is what follows `create`. */
const commandLines = `
x
x cmd -a b
-i x
-it x
-t -a stdout x
-a stdin -a stderr x
--name nn --platform linux/amd64 -h host --domainname dom -u 1:2 -w /w x
-e A=1 -e B=2 -e GANTRY_TEST_PASSED -e GANTRY_TEST_ABSENT x
-eA=1 -e=B=2 --env=C=3 x
-e HTTP_PROXY=mine -e no_proxy x
--env-file ENVFILE -e LAST=1 x
-l a=b -l c --label-file ENVFILE x
--entrypoint /e x
--entrypoint= x
--rm x
--rm=false x
--restart on-failure:3 x
--restart always x
-m 512m --memory-swap -1 --memory-reservation 256M --memory-swappiness 10 x
-m 1.5g --shm-size 64kb x
--cpus 1.5 --cpu-shares 5 -c 7 --cpu-period 100 --cpu-quota 50 --cpuset-cpus 0-1 --cpuset-mems 0 x
--cpu-rt-period 1 --cpu-rt-runtime 2 --pids-limit 5 --oom-kill-disable --oom-score-adj -5 x
--blkio-weight 100 --blkio-weight-device /dev/sda:100 --device-read-bps /dev/sda:1mb --device-write-bps /dev/sda:1 --device-read-iops /dev/sda:5 --device-write-iops /dev/sda:6 x
--cap-add NET_ADMIN --cap-add=ALL --cap-drop MKNOD --privileged x
--security-opt no-new-privileges --security-opt apparmor=unconfined --security-opt seccomp=unconfined x
--security-opt seccomp=PROFILE x
--security-opt systempaths=unconfined x
-v /h:/c:ro -v named:/n -v /anon x
-v ./rel:/c x
--volumes-from a --volumes-from b:ro --volume-driver d x
--tmpfs /z:size=1m --tmpfs /y x
--mount type=bind,src=/a,dst=/b,ro,bind-propagation=rshared x
--mount type=bind,source=/a,target=/b,readonly=true,bind-recursive=disabled,consistency=cached x
--mount type=bind,src=/a,dst=/b,ro,bind-recursive=writable x
--mount type=bind,src=/a,dst=/b,ro,bind-propagation=rprivate,bind-recursive=readonly x
--mount type=volume,src=v,dst=/c,volume-nocopy,volume-opt=o=x,volume-label=l=m,volume-driver=d,volume-subpath=s x
--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777 x
--mount type=image,src=i,dst=/t,image-subpath=q x
--mount source=v,target=/c x
--mount "type=volume,src=v,dst=/c,\\"volume-opt=o=a,b\\"" x
-p 80 -p 8080-8082:80-82/udp -p 127.0.0.1::90 -p [::1]:5:6 -p 1.2.3.4:7:8/sctp x
-p 8000-8010:80 x
-p 90:90 -p 91:90 x
-p 5000-5001 x
-p target=80,published=8080,protocol=udp x
--expose 99 --expose 100-102/udp -P x
--network host x
--network none x
--network mine --network-alias al --ip 10.0.0.3 --ip6 fd00::1 --mac-address 02:42:ac:11:00:02 --link-local-ip 169.254.1.1 x
--network mine --network name=b,alias=q,alias=r,ip=1.2.3.4,driver-opt=k=v,gw-priority=5 x
--network name=b,ip6=fd00::2,mac-address=02:42:ac:11:00:03,link-local-ip=169.254.1.2 x
--network container:other --pid host --ipc host --uts host --userns host --cgroupns host x
--pid container:a --ipc container:b x
--net mine --net-alias z x
--link a --link b:c x
--dns 1.1.1.1 --dns-search s --dns-option ndots:1 --dns-opt timeout:2 --add-host a:1.2.3.4 --add-host b=::1 --add-host c:host-gateway x
--ulimit nofile=10:20 --ulimit core=-1 --ulimit nproc=5 --ulimit nofile=30 x
--device /dev/null:/dev/x:r --device /dev/zero --device /dev/full:rw --device-cgroup-rule "c 1:3 rwm" x
--device vendor.com/class=name x
--gpus all x
--gpus 2 x
--gpus "\\"device=0,1\\",capabilities=utility" x
--gpus driver=nvidia,count=1 x
--health-cmd "a b" --health-interval 3s --health-timeout 1m30s --health-retries 3 --health-start-period 500ms --health-start-interval 1s x
--no-healthcheck x
--stop-signal TERM --stop-timeout 3 --init --read-only --group-add g --group-add 5 x
--init=false x
--sysctl net.x=1 --annotation a=b --log-driver local --log-opt a=b --storage-opt size=1 --runtime runc --cgroup-parent /p x
--cidfile CIDFILE x
-- x -y
`
  .split('\n')
  .filter((line) => line !== '');

interface Captured {
  readonly url: string;
  readonly body: unknown;
}

describe('gantry create asks for what docker create asks for', { skip: docker === undefined ? 'needs the docker CLI' : false }, () => {
  const folder = mkdtempSync(`${tmpdir()}/gantry-cli-`);
  const socket = `${folder}/s.sock`;
  const captured: Captured[] = [];
  let server: Server;

  before(async () => {
    writeFileSync(`${folder}/env`, '# comment\nFROM_FILE=a b\n\nGANTRY_TEST_PASSED\n  INDENTED=1\n');
    writeFileSync(`${folder}/profile.json`, '{ "defaultAction" : "SCMP_ACT_ALLOW" }');
    mkdirSync(`${folder}/.docker`);
    writeFileSync(`${folder}/.docker/config.json`, '{"proxies":{"default":{"httpProxy":"http://p:1","noProxy":"a,b"}}}');
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.setHeader('Api-Version', '1.51');
        response.setHeader('Ostype', 'linux');
        if (request.url?.includes('/containers/create')) {
          captured.push({ url: request.url.replace(/^\/v[\d.]+/, ''), body: JSON.parse(Buffer.concat(chunks).toString()) });
          response.writeHead(201, { 'content-type': 'application/json' });
          response.end(`{"Id":"${'ab'.repeat(32)}","Warnings":null}\n`);
        } else response.end('OK');
      });
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
  });

  after(() => {
    server.close();
    server.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const line of commandLines) {
    it(line, async () => {
      const args = words(line).map((word) =>
        word.replace('ENVFILE', `${folder}/env`).replace('PROFILE', `${folder}/profile.json`).replace('CIDFILE', `${folder}/cid`),
      );
      const env = { ...process.env, HOME: folder, DOCKER_HOST: `unix://${socket}`, GANTRY_TEST_PASSED: 'yes' };
      captured.length = 0;
      const theirs = await captureDocker(args, env, folder);
      const ours = await captureGantry(args, env, folder);
      assert.deepEqual(ours, theirs);
    });
  }

  async function captureDocker(args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Captured> {
    rmSync(`${folder}/cid`, { force: true });
    const child = spawn(docker ?? '', ['create', ...args], { env, cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.on('data', (chunk) => {
      complaint += String(chunk);
    });
    await new Promise((resolve) => child.on('close', resolve));
    return lastCapture(complaint);
  }

  async function captureGantry(args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Captured> {
    rmSync(`${folder}/cid`, { force: true });
    const stderr = new PassThrough();
    const complaint: string[] = [];
    stderr.on('data', (chunk) => complaint.push(String(chunk)));
    await runCli(['create', ...args], { stdin: new PassThrough(), stdout: new PassThrough().resume(), stderr, env, cwd });
    return lastCapture(complaint.join(''));
  }

  function lastCapture(complaint: string): Captured {
    const last = captured.pop();
    assert.ok(last, `nothing was asked for: ${complaint}`);
    return { url: last.url, body: withoutZeros(sortUnordered(last.body)) };
  }
});

/** Splits like a shell, as far as these lines need it. */
function words(line: string): string[] {
  const found = line.matchAll(/(?:[^\s"]|"(?:[^"\\]|\\.)*")+/g);
  return [...found].map(([word]) => word.replace(/"((?:[^"\\]|\\.)*)"/g, (_, inner: string) => inner.replace(/\\(.)/g, '$1')));
}

/** Docker's client passes the environment and the volumes through maps, so their order is any. */
function sortUnordered(body: unknown): unknown {
  const { Env, HostConfig, ...rest } = body as { Env: string[] | null; HostConfig: { Binds: string[] | null } };
  const sorted = (list: string[] | null): string[] => [...new Set(list ?? [])].sort();
  return { ...rest, Env: sorted(Env), HostConfig: { ...HostConfig, Binds: sorted(HostConfig.Binds) } };
}

/** Zero values say nothing; the endpoints of networks are kept by name even when nothing is said of them. */
function withoutZeros(value: unknown, path = ''): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => withoutZeros(item, path));
    return items.every((item) => item === undefined) ? undefined : items;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => [key, withoutZeros(item, `${path}.${key}`)] as const);
    const kept = entries.filter(([, item]) => item !== undefined);
    return kept.length > 0 || /EndpointsConfig\.[^.]+$|Volumes\.|ExposedPorts\./.test(path) ? Object.fromEntries(kept) : undefined;
  }
  return value === null || value === '' || value === 0 || value === false ? undefined : value;
}
