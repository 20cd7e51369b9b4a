/**
 * The same command line through `docker` and `gantry`, against a daemon that only listens: both must ask for the same container, network or volume.
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
import { registryKey } from '../../src/client/credentials/registry-key.ts';
import { edgeLines, refusedOptionLines, verbLines } from './request-lines.ts';
import { refusedTransferLines, transferLines } from './transfer-request-lines.ts';

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
--pull=always --platform linux x
--use-api-socket --mount type=tmpfs,dst=/t x
-- x -y
-p 0.0.0.0:80:81 -p [::]:80:81 -p [fe80::1]::82/tcp -p 0:83 -p :84 -p 85:85/UDP x
-p 127.0.0.1:7000-7002:90-92/tcp -p 127.0.0.1:7010-7012:93 x
-p 8080:80 -p 8080:80/udp -p 8081:80 x
-p target=80,published=8080 -p target=81 x
-P --expose 7 --expose 8/udp x
--network name=n,alias=a,link-local-ip=169.254.1.1,link-local-ip=fe80::1,mac-address=02:42:ac:11:00:03,driver-opt=a=b,driver-opt=c=d x
--network n --link a:b --link c --ip 10.0.0.9 x
--network bridge --mac-address 02:42:ac:11:00:02 x
--mac-address 02:42:ac:11:00:02 x
--network a --network b --network c x
--network none --ip 1.2.3.4 x
--ip 1.2.3.4 --link-local-ip 169.254.1.1 x
--network bridge --ip 1.2.3.4 x
--network name=host --link a -p 80:80 x
-v rel/x:/b -v .:/c -v /a:/b:c:d x
-v named:/data:ro,nocopy -v /h:/c:z,rshared -v other:/o:Z x
-v /anon1 -v /anon2 -v /h:/c:consistent x
--volumes-from a:ro,z x
--mount type=volume,dst=/anon x
--mount type=volume,src=v,dst=/c,ro,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs x
--mount type=bind,src=/a,dst=/b,bind-propagation=rslave,bind-nonrecursive=true x
--mount type=tmpfs,destination=/t x
--mount type=image,source=busybox,target=/i x
--tmpfs /run:rw,noexec,size=64m,mode=1777 --tmpfs /a:uid=5 x
`
  .split('\n')
  .filter((line) => line !== '');

/** Whole command lines. */
const otherLines = `
network create n
network create -d macvlan --attachable --internal --label a=b --label c -o parent=eth0 -o z n
network create --ipv6 --subnet 10.0.0.0/24 --gateway 10.0.0.1 --ip-range 10.0.0.128/25 --aux-address h=10.0.0.5 --aux-address g=10.0.0.6 n
network create --subnet 10.0.0.0/24,fd00::/64 --gateway fd00::1 --gateway 10.0.0.1 --ipv4=false n
network create --subnet 10.0.0.0/24 --subnet 10.0.1.0/24 --aux-address a=10.0.1.9 n
network create --subnet bad n
network create --config-only --subnet 10.0.0.0/24 --gateway 10.0.0.1 n
network create --config-from c --scope local --ipam-driver d --ipam-opt a=b --ipv6=false n
network connect n c
network connect --alias a --alias b,c --driver-opt k=v --driver-opt k2=v2,k3=v3 --gw-priority -5 --ip 1.2.3.4 --ip6 fd00::1 --link l:m --link-local-ip 169.254.1.1 n c
network disconnect n c
network disconnect -f n c
network ls -f driver=bridge -f name=a -f name=b --no-trunc
network inspect -v n m
network prune -f --filter until=1h --filter label=x
volume create
volume create v
volume create -d x -o type=nfs -o o=addr=1.2.3.4,rw -o c --label l --label m=n v
volume rm v w
volume rm -f v
volume ls -f dangling=true -f label=a=b
volume inspect v w
volume prune -f --filter label=x
volume prune -af
system prune -f --volumes
inspect --type network n
inspect --type volume v
port c
port c 80
`
  .split('\n')
  .filter((line) => line !== '');

/** Refused by both before anything is asked for, with the same exit status and in the same words. */
const refusedLines = `
network create --subnet 10.0.0.0/24 --subnet 10.0.0.128/25 n
network create --gateway 10.0.0.1 n
network create --aux-address a=10.0.0.3 n
network create --subnet 10.0.0.0/24 --gateway 10.1.0.1 n
network create --subnet 10.0.0.0/24 --ip-range 10.1.0.0/25 n
network create --subnet 10.0.0.0/24 --gateway 10.0.0.1 --gateway 10.0.0.2 n
network create --subnet bad --gateway 10.0.0.1 n
network connect --driver-opt nope n c
port c nope
port c 99999
port c 81
create -p 65536:80 x
create -p 80:0x x
create -p 1.2.3:80:80 x
create -p 80:80/bogus x
create --network name=n,bogus=1 x
create --network n --network n x
create --network bridge --network n x
create --network-alias a x
create --mount type=volume x
create --network n --network host x
create --network container:a --network b x
create --network container:a --network-alias x x
create -v /a: x
create -v :/a x
create -v "" x
create --mount type=tmpfs,dst=/t,volume-nocopy x
`
  .split('\n')
  .filter((line) => line !== '');

interface Captured {
  readonly method: string | undefined;
  readonly url: string;
  readonly body: unknown;
  /** What the registry shall be shown. */
  readonly credentials?: unknown;
}

/** Of a body that is JSON, or a tar with one JSON file: `--use-api-socket` brings the known credentials along. Registries may be spelled in several ways there. */
function jsonOf(body: string): unknown {
  const text = body.trim();
  if (text === '') return null;
  if (!text.includes('\0')) return JSON.parse(text);
  const { auths, ...rest } = JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as { auths: Record<string, unknown> };
  return { ...rest, auths: Object.fromEntries(Object.entries(auths).map(([server, entry]) => [registryKey(server), entry])) };
}

const auth = (login: string): string => Buffer.from(login).toString('base64');

const clientConfig = {
  proxies: { default: { httpProxy: 'http://p:1', noProxy: 'a,b' } },
  auths: {
    'https://index.docker.io/v1/': { auth: auth('hub:secret') },
    'known:5000': { auth: auth('me:se:cret') },
    'https://spelled.example/v1/': { auth: auth('me:x') },
    'token.example': { auth: auth('me:'), identitytoken: 'T' },
    'plain.example': { username: 'me', password: 'x' },
    'empty.example': {},
  },
};

const FILES: Readonly<Record<string, string>> = {
  ENVFILE: 'env',
  ENVFILE2: 'env2',
  LABELS: 'labels',
  PROFILE: 'profile.json',
  CIDFILE: 'cid',
};

describe('gantry asks for what docker asks for', { skip: docker === undefined ? 'needs the docker CLI' : false }, () => {
  const folder = mkdtempSync(`${tmpdir()}/gantry-cli-`);
  const socket = `${folder}/s.sock`;
  const captured: Captured[] = [];
  let server: Server;

  before(async () => {
    writeFileSync(`${folder}/env`, '# comment\nFROM_FILE=a b\n\nGANTRY_TEST_PASSED\n  INDENTED=1\n');
    writeFileSync(`${folder}/env2`, '\uFEFFA=1\r\nB= x \n \t C=3\nHOME\nNOSUCH\nD=#x\n');
    writeFileSync(`${folder}/labels`, 'a=b\nc\n# x\n d=e f\n');
    writeFileSync(`${folder}/profile.json`, '{ "defaultAction" : "SCMP_ACT_ALLOW" }');
    mkdirSync(`${folder}/.docker`);
    writeFileSync(`${folder}/.docker/config.json`, JSON.stringify(clientConfig));
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.setHeader('Api-Version', '1.51');
        response.setHeader('Ostype', 'linux');
        const url = (request.url ?? '').replace(/^\/v[\d.]+/, '');
        if (url === '/_ping') return void response.end('OK');
        const body = jsonOf(Buffer.concat(chunks).toString());
        const auth = request.headers['x-registry-auth'];
        captured.push({
          method: request.method,
          url,
          body,
          ...(typeof auth === 'string' ? { credentials: credentialsOf(auth) } : {}),
        });
        response.writeHead(request.method === 'DELETE' ? 204 : 200, { 'content-type': 'application/json' });
        response.end(request.method === 'DELETE' ? '' : `${JSON.stringify(answerTo(url))}\n`);
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
      const args = withFiles(line);
      const env = { ...process.env, HOME: folder, DOCKER_HOST: `unix://${socket}`, GANTRY_TEST_PASSED: 'yes' };
      captured.length = 0;
      const theirs = await runDocker(['create', ...args], env, folder);
      const ours = await runGantry(['create', ...args], env, folder);
      assert.ok(theirs.captured.length > 0, `docker asked for nothing: ${theirs.complaint}`);
      assert.deepEqual(ours.captured, theirs.captured, ours.complaint);
    });
  }

  for (const line of [...otherLines, ...edgeLines, ...verbLines, ...transferLines]) {
    it(line, async () => {
      const env = { ...process.env, HOME: folder, DOCKER_HOST: `unix://${socket}` };
      const theirs = await runDocker(withFiles(line), env, folder);
      const ours = await runGantry(withFiles(line), env, folder);
      assert.ok(theirs.captured.length > 0, `docker asked for nothing: ${theirs.complaint}`);
      assert.deepEqual(ours, theirs);
    });
  }

  for (const line of [...refusedLines, ...refusedOptionLines, ...refusedTransferLines]) {
    it(`${line}: refused`, async () => {
      const env = { ...process.env, HOME: folder, DOCKER_HOST: `unix://${socket}` };
      const theirs = await runDocker(words(line), env, folder);
      const ours = await runGantry(words(line), env, folder);
      assert.notEqual(theirs.status, 0);
      assert.deepEqual(ours, theirs);
    });
  }

  function withFiles(line: string): string[] {
    return words(line).map((word) =>
      word.replace(/^(.*=)?(ENVFILE|ENVFILE2|LABELS|PROFILE|CIDFILE)$/, (_, before = '', name) => `${before}${folder}/${FILES[name]}`),
    );
  }

  interface Run {
    readonly status: number;
    readonly captured: readonly Captured[];
    /** First line of standard error, without the program's name. */
    readonly complaint: string;
  }

  async function runDocker(args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Run> {
    prepare();
    const child = spawn(docker ?? '', args, { env, cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.on('data', (chunk) => {
      complaint += String(chunk);
    });
    const status = await new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)));
    return runOf(status, complaint);
  }

  async function runGantry(args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Run> {
    prepare();
    const stderr = new PassThrough();
    const complaint: string[] = [];
    stderr.on('data', (chunk) => complaint.push(String(chunk)));
    const status = await runCli(args, { stdin: new PassThrough(), stdout: new PassThrough().resume(), stderr, env, cwd });
    return runOf(status, complaint.join(''));
  }

  function prepare(): void {
    rmSync(`${folder}/cid`, { force: true });
    captured.length = 0;
  }

  function runOf(status: number, complaint: string): Run {
    // Docker looks at a network before it removes it, and asks whether the daemon is one of a swarm.
    const asked = captured.filter(({ url }) => url !== '/info').map(comparable);
    return { status, captured: asked, complaint: comparableComplaint(complaint) };
  }
});

/** The first line, without the program's name; ours also says which word was probably meant. */
function comparableComplaint(text: string): string {
  const [first = ''] = text.split('\n', 1);
  return first
    .replace(/^(docker|gantry): /, '')
    .replace(/'gantry /, "'docker ")
    .replace(/: gantry /, ': docker ')
    .replace(/\. Did you mean .*/, '');
}

/** As much of an answer as the clients need to go on. */
function answerTo(url: string): unknown {
  if (url.startsWith('/containers/c/json')) {
    return {
      Id: 'c',
      Name: '/c',
      Config: { Tty: false },
      State: { Running: true },
      NetworkSettings: { Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] } },
    };
  }
  if (url.startsWith('/containers/c/top')) return { Titles: ['PID'], Processes: [['1']] };
  if (/^\/(containers|images)\/json|^\/images\/x\/history/.test(url)) return [];
  if (/^\/images\/(create|.*\/push)/.test(url)) return { status: 'on its way' };
  if (url === '/auth') return { Status: 'Login Succeeded', IdentityToken: '' };
  if (url.startsWith('/images/search')) return [];
  if (url === '/volumes' || url.startsWith('/volumes?')) return { Volumes: [], Warnings: null };
  if (url === '/networks' || url.startsWith('/networks?')) return [];
  return { Id: 'ab'.repeat(32), Name: 'x', Warning: '', Warnings: null };
}

function comparable({ method, url, body, credentials }: Captured): Captured {
  const [path = '', query = ''] = url.split('?');
  const parameters = [...new URLSearchParams(query)].filter(([, value]) => value !== '' && value !== 'false').map(comparableParameter);
  return {
    method,
    url: `${path} ${parameters.sort().join(' ')}`,
    body: withoutZeros(sortUnordered(body)),
    credentials: withoutZeros(credentials),
  };
}

/** Docker writes filters in any order, and some booleans as words. */
function comparableParameter([name, value]: readonly [string, string]): string {
  if (name !== 'filters') return `${name}=${value === 'true' ? '1' : value}`;
  const entries = Object.entries(JSON.parse(value) as Record<string, object>);
  return `${name}=${JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}

/** Docker names the registry as the file does, we as the command line does. */
function credentialsOf(header: string): unknown {
  const { serveraddress, ...shown } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { serveraddress?: string };
  return { ...shown, server: serveraddress === undefined ? '' : registryKey(serveraddress) };
}

/** Splits like a shell, as far as these lines need it. */
function words(line: string): string[] {
  const found = line.matchAll(/(?:[^\s"]|"(?:[^"\\]|\\.)*")+/g);
  return [...found].map(([word]) => word.replace(/"((?:[^"\\]|\\.)*)"/g, (_, inner: string) => inner.replace(/\\(.)/g, '$1')));
}

/** Docker's client passes the environment and the volumes through maps, so their order is any. */
function sortUnordered(body: unknown): unknown {
  const sorted = <T>(list: T[] | null | undefined): T[] => [...new Set(list ?? [])].sort((a, b) => (String(a) < String(b) ? -1 : 1));
  if (typeof body === 'object' && body !== null && 'IPAM' in body) {
    const { IPAM, ...others } = body as { IPAM: { Config: { Subnet: string }[] | null } };
    return { ...others, IPAM: { ...IPAM, Config: (IPAM.Config ?? []).toSorted((a, b) => (a.Subnet < b.Subnet ? -1 : 1)) } };
  }
  if (typeof body !== 'object' || body === null || !('HostConfig' in body)) return body;
  const { Env, HostConfig, ...rest } = body as unknown as { Env: string[] | null; HostConfig: { Binds: string[] | null } };
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
