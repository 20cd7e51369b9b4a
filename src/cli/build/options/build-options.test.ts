import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type BuildFolder, buildFolder, type ContextOptions } from '../testing/build-command.ts';
import { type BuildOptions, readBuildOptions } from './build-options.ts';

let folder: BuildFolder;
before(() => {
  folder = buildFolder({ 'app/Dockerfile': 'FROM scratch\n', 'other/x': '', 'key.txt': 'hush', 'layout/index.json': '{}' });
});
after(() => folder[Symbol.dispose]());

const read = (line: string | readonly string[], options: ContextOptions = {}): BuildOptions =>
  readBuildOptions(folder.context(line, options).context);

describe('readBuildOptions', () => {
  it('gives what Docker gives without flags', () => {
    const options = read('app');
    assert.deepEqual(options.context, { kind: 'directory', path: 'app' });
    assert.deepEqual(JSON.parse(JSON.stringify(options.request)), {
      target: null,
      platforms: [],
      buildArguments: {},
      labels: {},
      noCache: [],
      pull: false,
      run: {
        network: 'default',
        networkName: null,
        extraHosts: [],
        hostname: null,
        shmSizeBytes: null,
        ulimits: [],
        cgroupParent: null,
        memoryBytes: null,
        memorySwapBytes: null,
        cpuShares: null,
        cpuPeriod: null,
        cpuQuota: null,
        cpus: null,
        memoryNodes: null,
      },
      entitlements: [],
      provenance: null,
      sbom: false,
      squash: false,
    });
    assert.deepEqual(
      options.outputs.map(({ body, destination }) => [body.type, body.names, body.push, destination]),
      [['image', [], false, null]],
    );
    assert.deepEqual([options.progress, options.timestamp, options.call.kind], ['auto', { kind: 'base' }, 'build']);
  });

  it('takes build arguments as they are, from the environment, or leaves them out; the last wins', () => {
    const { request } = read('--build-arg A=1 --build-arg B --build-arg C --build-arg A=2 --build-arg D=x=y --build-arg E= app', {
      env: { B: 'b' },
    });
    assert.deepEqual({ ...request.buildArguments }, { A: '2', B: 'b', D: 'x=y', E: '' });
  });

  it('takes SOURCE_DATE_EPOCH of the environment, unless the command line says another time', () => {
    const env = { SOURCE_DATE_EPOCH: '1700000000' };
    assert.equal(read('app', { env }).request.buildArguments.SOURCE_DATE_EPOCH, '1700000000');
    assert.equal(read('--build-arg SOURCE_DATE_EPOCH=5 app', { env }).request.buildArguments.SOURCE_DATE_EPOCH, '5');
    assert.equal(read('--timestamp=now app', { env }).request.buildArguments.SOURCE_DATE_EPOCH, undefined);
  });

  it('gives limits, hosts and network to RUN', () => {
    const { request } = read(
      '-m 1g --memory-swap -1 -c 512 --cpu-period 100000 --cpu-quota 50000 --cpuset-cpus 0-1 --cpuset-mems 0 --shm-size 64m --ulimit nofile=10:20 --cgroup-parent /p --add-host a:1.2.3.4 --add-host b=host-gateway --network host app',
    );
    assert.deepEqual(request.run, {
      network: 'host',
      networkName: null,
      extraHosts: ['a:1.2.3.4', 'b:host-gateway'],
      hostname: null,
      shmSizeBytes: 64 * 1024 * 1024,
      ulimits: [{ name: 'nofile', soft: 10, hard: 20 }],
      cgroupParent: '/p',
      memoryBytes: 1024 ** 3,
      memorySwapBytes: -1,
      cpuShares: 512,
      cpuPeriod: 100000,
      cpuQuota: 50000,
      cpus: '0-1',
      memoryNodes: '0',
    });
    assert.deepEqual(request.entitlements, ['network.host']);
    assert.equal(read('--network mine app').request.run.networkName, 'mine');
    const gpu = { driver: '', count: -1, ids: [], capabilities: [['gpu']], options: {} };
    assert.deepEqual(read('--gpus all app').request.run.gpus, [gpu]);
    assert.deepEqual(read('--gpus "device=0,2" app').request.run.gpus, [{ ...gpu, count: 0, ids: ['0', '2'] }]);
    assert.deepEqual(read('--gpus 1,exclusive app').request.run.gpus, [{ ...gpu, count: 1, options: { exclusive: 'true' } }]);
    assert.deepEqual(read('--allow device=a/b=c app').request.entitlements, ['device=a/b=c']);
    assert.equal(read('--resource memory=2m app').request.run.memoryBytes, 2 * 1024 * 1024);
  });

  it('reads platforms, local and the environment included', () => {
    const one = { os: 'linux', architecture: 'arm64' };
    assert.deepEqual(read('--platform linux/arm64,linux/arm/v7 --platform linux/arm64 app').request.platforms, [
      one,
      { os: 'linux', architecture: 'arm', variant: 'v7' },
    ]);
    assert.deepEqual(read('app', { env: { DOCKER_DEFAULT_PLATFORM: 'linux/arm64' } }).request.platforms, [one]);
    assert.equal(read('--platform local app').request.platforms.length, 1);
  });

  it('reads stages without cache, attestations, entitlements', () => {
    assert.deepEqual(read('--no-cache-filter A,b --no-cache-filter c app').request.noCache, ['a', 'b', 'c']);
    assert.equal(read('--no-cache app').request.noCache, 'all');
    assert.deepEqual(read('--allow security.insecure --allow network.host app').request.entitlements, [
      'security.insecure',
      'network.host',
    ]);
    const attested = (line: string): unknown[] => {
      const { provenance, sbom } = read(`${line} app`).request;
      return [provenance, sbom];
    };
    assert.deepEqual(attested('--provenance=true'), ['min', false]);
    assert.deepEqual(attested('--provenance mode=max --sbom true'), ['max', true]);
    assert.deepEqual(attested('--provenance false'), [null, false]);
    assert.deepEqual(attested('--attest type=provenance,mode=max --attest type=sbom'), ['max', true]);
  });

  it('reads the ways to show it', () => {
    assert.equal(read('app', { env: { BUILDKIT_PROGRESS: 'plain' } }).progress, 'plain');
    assert.equal(read('--progress rawjson app', { env: { BUILDKIT_PROGRESS: 'plain' } }).progress, 'rawjson');
    assert.equal(read('-q app').progress, 'quiet');
    assert.deepEqual(read('--check app').call, { kind: 'check', json: false, ignoresStatus: false });
    assert.deepEqual(read('--call outline,format=json app').call, { kind: 'outline', json: true, ignoresStatus: false });
  });

  it('finds secrets: file, variable, or what has its name', () => {
    const env = { TOKEN: 't', named: 'n' };
    const options = read(
      '--secret id=a,src=key.txt --secret id=b,env=TOKEN --secret id=named --secret id=TOKEN,type=env --secret id=key.txt app',
      { env },
    );
    assert.deepEqual(
      [...options.secrets.values()].map((secret) => (secret.kind === 'file' ? secret.path : `$${secret.variable}`)),
      ['key.txt', '$TOKEN', '$named', '$TOKEN', 'key.txt'],
    );
  });

  it('tells contexts apart', () => {
    const kinds = ['-', 'other', 'https://h/x.git#main:sub', 'git@github.com:o/r', 'github.com/o/r', 'ssh://h/x', 'https://h/x.tar.gz'].map(
      (text) => read(text).context.kind,
    );
    assert.deepEqual(kinds, ['stdin', 'directory', 'git', 'git', 'git', 'git', 'http']);
    const { namedContexts } = read(
      '--build-context a=other --build-context b=docker-image://alpine:3 --build-context c=oci-layout://layout:v1 --build-context d=https://h/x.git app',
    );
    assert.deepEqual(namedContexts, [
      ['a', { kind: 'directory', path: 'other' }],
      ['b', { kind: 'image', reference: 'alpine:3' }],
      ['c', { kind: 'oci-layout', path: 'layout', reference: ':v1' }],
      ['d', { kind: 'git', url: 'https://h/x.git' }],
    ]);
  });

  describe('outputs', () => {
    const outputs = (line: string) => read(`${line} app`).outputs.map(({ body, destination }) => ({ body, destination }));

    it('of every form', () => {
      const kinds = (line: string) =>
        outputs(line).map(({ body, destination }) => `${body.type}${body.push ? '+push' : ''}:${destination?.kind ?? ''}`);
      assert.deepEqual(kinds('-o out'), ['local:directory']);
      assert.deepEqual(kinds('-o -'), ['tar:stdout']);
      assert.deepEqual(kinds('-o type=tar,dest=x.tar'), ['tar:file']);
      assert.deepEqual(kinds('-o type=local,dest=x,mode=delete'), ['local:directory']);
      assert.deepEqual(kinds('-o type=oci,dest=x.tar'), ['oci:file']);
      assert.deepEqual(kinds('-o type=oci,dest=x,tar=false'), ['oci:directory']);
      assert.deepEqual(kinds('-o type=docker'), ['image:']);
      assert.deepEqual(kinds('-o type=docker,dest=-'), ['docker:stdout']);
      assert.deepEqual(kinds('-o type=image,name=a,push=true'), ['image+push:']);
      assert.deepEqual(kinds('-o type=registry,name=a'), ['image+push:']);
      assert.deepEqual(kinds('--push -t a'), ['image+push:']);
      assert.deepEqual(kinds('-o out --load'), ['local:directory', 'image:']);
      assert.deepEqual(kinds('-o out -o type=image --push -t a'), ['local:directory', 'image+push:']);
      assert.deepEqual(kinds('-o type=cacheonly'), []);
    });

    it('have names, annotations and compression', () => {
      const [output] = outputs(
        '-t a -t h:5/b:2 -o type=image,name=c,compression=zstd,compression-level=19,force-compression=true --annotation k=v --annotation manifest,index:x=y',
      );
      assert.deepEqual(output?.body.names, ['docker.io/library/c:latest', 'docker.io/library/a:latest', 'h:5/b:2']);
      assert.deepEqual(output?.body.compression, { kind: 'zstd', level: 19, force: true });
      assert.deepEqual(output?.body.annotations, { 'annotation.k': 'v', 'annotation-manifest.x': 'y', 'annotation-index.x': 'y' });
      assert.deepEqual(outputs('-o type=oci,dest=x,annotation-index[linux/amd64].K=v')[0]?.body.annotations, {
        'annotation-index[linux/amd64].K': 'v',
      });
    });
  });

  it('reads caches', () => {
    const { cacheFrom, cacheTo } = read(
      '--cache-from h/c --cache-from type=local,src=d --cache-to type=registry,ref=h/c,mode=max,mounts=true --cache-to type=inline app',
    );
    const common = { mode: 'min', mounts: false, ignoreErrors: false };
    assert.deepEqual(cacheFrom, [
      { place: { type: 'registry', reference: 'docker.io/h/c:latest', ...common }, path: null },
      { place: { type: 'local', reference: null, ...common }, path: 'd' },
    ]);
    assert.deepEqual(cacheTo, [
      { place: { type: 'registry', reference: 'docker.io/h/c:latest', ...common, mode: 'max', mounts: true }, path: null },
      { place: { type: 'inline', reference: null, ...common }, path: null },
    ]);
  });

  const complaints: readonly (readonly [string, RegExp])[] = [
    ['nowhere', /^unable to prepare context: path "nowhere" not found$/],
    ['key.txt', /is not a directory/],
    ['-t UPPER app', /^invalid argument "UPPER" for "-t, --tag" flag: .*repository name.* must be lowercase/],
    ['--platform linux/a/b/c app', /for "--platform" flag/],
    ['--progress loud app', /^invalid progress mode loud: write auto, tty, plain, quiet, rawjson$/],
    ['--timestamp soon app', /write base, context, git, now, or seconds/],
    ['--build-arg =x app', /write NAME=VALUE/],
    ['--secret src=key.txt app', /a secret needs an id/],
    ['--secret id=x,src=gone app', /^secret x: .*no such file or directory$/],
    ['--secret id=x,env=GONE app', /^secret x: the environment has no variable GONE$/],
    ['--secret id=x,src=key.txt,mode=1 app', /a secret has no key 'mode'/],
    ['-o type=zip,dest=x app', /type is one of local, tar/],
    ['-o dest=x app', /type is required/],
    ['-o type=oci app', /dest is required: write type=oci,dest=PATH/],
    ['-o type=image,compresion=gzip app', /Did you mean 'compression'\?/],
    ['-o type=image,compression=estargz app', /gzip, zstd or uncompressed/],
    ['-o type=image,compression=gzip,compression-level=11 app', /from 0 to 9/],
    ['-o - -o type=tar,dest=- app', /only one output can go to standard output/],
    ['--push app', /tag is needed when pushing/],
    ['-o out --annotation a=b app', /--annotation needs an output that is an image/],
    ['--cache-to type=gha app', /type=gha is not supported/],
    ['--cache-to type=inline,mode=max app', /use type=registry/],
    ['--allow everything app', /write one of network.host/],
    ['--network container:x app', /cannot join a container's network/],
    ['--ulimit nonsense=1 app', /invalid ulimit type/],
    ['--isolation hyperv app', /there is only default/],
    ['--security-opt seccomp=x app', /--security-opt is not supported/],
    ['--builder mine app', /no builder "mine" found/],
    ['-f - -', /can't use stdin for both/],
    ['--watch -', /--watch needs a directory/],
    ['--watch --verify app', /exclude each other/],
    ['--check --verify app', /builds nothing/],
    ['--shell-on-error app', /needs a terminal/],
    ['--call nothing app', /write build, check, outline or targets/],
    ['--sbom generator=x app', /generator is not supported/],
    ['--build-context a=gone app', /there is no directory gone/],
    ['--build-context a=target:x app', /bake/],
    ['--ssh =x app', /write default/],
    ['--resource gpu=1 app', /write NAME=VALUE/],
  ];
  for (const [line, message] of complaints)
    it(`refuses ${line}`, () => {
      assert.throws(() => read(line), { message });
    });

  it('refuses a time of the environment that is none', () => {
    assert.throws(() => read('app', { env: { SOURCE_DATE_EPOCH: 'today' } }), /a number of seconds/);
  });
});
