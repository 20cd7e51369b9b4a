/** Cases of dockerfile.md section 11 that need no file and no process; the number is the case's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notFound } from '../../base/errors.ts';
import { parseDockerfile } from '../../dockerfile/parse-dockerfile.ts';
import type { ImageConfig } from '../../oci/image-config.ts';
import type { BuildPlan, PlanSources } from './build-plan.ts';
import { inputsOf, type Operation } from './operation.ts';
import { planBuild } from './plan-build.ts';

const amd64 = { os: 'linux', architecture: 'amd64' };

interface Given {
  readonly args?: Readonly<Record<string, string>>;
  readonly target?: string;
  readonly platform?: typeof amd64;
  readonly images?: Readonly<Record<string, Partial<ImageConfig>>>;
  readonly asked?: string[];
}

function sourcesOf({ images = {}, asked }: Given): PlanSources {
  return {
    async image(reference) {
      asked?.push(reference);
      const found = images[reference];
      if (found === undefined) throw notFound(`no image ${reference}`);
      const config = { ...amd64, config: {}, rootfs: { type: 'layers' as const, diff_ids: [] }, history: [], ...found };
      return { reference, config, layers: [], descriptors: [] };
    },
    namedContext: () => null,
  };
}

function plan(source: string, given: Given = {}): Promise<BuildPlan> {
  const settings = {
    buildArguments: new Map(Object.entries(given.args ?? {})),
    targetPlatform: given.platform ?? amd64,
    buildPlatform: amd64,
    target: given.target ?? null,
    network: 'default' as const,
    epoch: null,
    showPlatforms: false,
  };
  return planBuild(parseDockerfile(source), settings, sourcesOf(given));
}

async function environment(source: string, given: Given = {}): Promise<readonly string[]> {
  const { result } = await plan(source, given);
  return (result.config.Env ?? []).filter((entry) => !entry.startsWith('PATH='));
}

async function labels(source: string, given: Given = {}): Promise<Record<string, string>> {
  return { ...(await plan(source, given)).result.config.Labels };
}

async function history(source: string, given: Given = {}): Promise<readonly string[]> {
  return (await plan(source, given)).result.history.map(({ createdBy, empty }) => (empty ? `${createdBy} (empty)` : createdBy));
}

const busybox = { 'docker.io/library/busybox:latest': {} };

test('11.1, 11.2 escape decides about backslashes', async () => {
  assert.deepEqual(await environment('# escape=`\nFROM scratch\nENV A=C:\\x'), ['A=C:\\x']);
  assert.deepEqual(await environment('# foo=1\n# escape=`\nFROM scratch\nENV A=C:\\x'), ['A=C:x']);
});

test('11.10 one instruction sees one state', async () => {
  assert.deepEqual(await environment('FROM scratch\nENV A=1\nENV A=2 B=$A\nENV C=$A'), ['A=2', 'B=1', 'C=2']);
});

test('11.17 an ARG is visible from its line on', async () => {
  const source = 'ARG V=1\nFROM scratch\nLABEL a=$V\nARG V\nLABEL b=$V\nARG V=2\nLABEL c=$V';
  assert.deepEqual(await labels(source), { a: '', b: '1', c: '2' });
  assert.deepEqual(await labels(source, { args: { V: '9' } }), { a: '', b: '9', c: '9' });
});

test('11.18, 11.19 the later of ENV and ARG counts, and the image keeps ENV', async () => {
  assert.deepEqual(await labels('FROM scratch\nENV A=e\nARG A=g\nLABEL x=$A'), { x: 'g' });
  assert.deepEqual(await environment('FROM scratch\nENV A=e\nARG A=g'), ['A=e']);
  assert.deepEqual(await labels('FROM scratch\nARG A=g\nENV A=e\nLABEL x=$A', { args: { A: 'b' } }), { x: 'e' });
});

test('11.20 ARGs come along with the stage that one stands on', async () => {
  assert.deepEqual(await labels('FROM scratch AS s\nARG A=1\nFROM s\nLABEL x=$A'), { x: '1' });
  assert.deepEqual(await labels('FROM scratch AS s\nARG A=1\nFROM scratch\nLABEL x=$A'), { x: '' });
});

test('11.21 automatic arguments need an ARG', async () => {
  const source = 'FROM scratch\nLABEL a=$TARGETARCH\nARG TARGETARCH\nLABEL b=$TARGETARCH';
  assert.deepEqual(await labels(source, { platform: { os: 'linux', architecture: 'arm64' } }), { a: '', b: 'arm64' });
});

test('11.22 an empty CMD clears', async () => {
  assert.equal((await plan('FROM scratch\nCMD ["a"]\nCMD []')).result.config.Cmd, undefined);
});

test('11.27 ENTRYPOINT drops a CMD of the base, not one of its own stage', async () => {
  const apart = (await plan('FROM scratch AS b\nCMD ["c"]\nFROM b\nENTRYPOINT ["e"]')).result.config;
  assert.deepEqual([apart.Entrypoint, apart.Cmd], [['e'], undefined]);
  assert.deepEqual((await plan('FROM scratch\nCMD ["c"]\nENTRYPOINT ["e"]')).result.config.Cmd, ['c']);
});

test('11.28 SHELL', async () => {
  const { config } = (await plan('FROM scratch\nSHELL ["/bin/bash","-ec"]\nCMD x y')).result;
  assert.deepEqual(
    [config.Shell, config.Cmd],
    [
      ['/bin/bash', '-ec'],
      ['/bin/bash', '-ec', 'x y'],
    ],
  );
});

test('11.29, 11.30 WORKDIR', async () => {
  assert.deepEqual(await history('FROM scratch\nWORKDIR a\nWORKDIR ../b\nWORKDIR $U'), ['WORKDIR /a', 'WORKDIR /b', 'WORKDIR /b']);
  assert.deepEqual(await history('FROM scratch\nWORKDIR /'), ['WORKDIR / (empty)']);
});

test('11.31, 11.32, 11.33 EXPOSE', async () => {
  assert.deepEqual(await history('FROM scratch\nEXPOSE 81/UDP 80 9000-9002'), [
    'EXPOSE [80/tcp 81/udp 9000/tcp 9001/tcp 9002/tcp] (empty)',
  ]);
  const { config } = (await plan('FROM scratch\nENV P="80 81"\nEXPOSE $P')).result;
  assert.deepEqual(Object.keys(config.ExposedPorts ?? {}), ['80/tcp', '81/tcp']);
  await assert.rejects(plan('FROM scratch\nEXPOSE 99999'), /line 2: invalid containerPort: 99999/);
});

test('11.34, 11.35 VOLUME and STOPSIGNAL', async () => {
  const { config } = (await plan('FROM scratch\nVOLUME /a /b\nVOLUME ["/c d"]\nVOLUME [\'/e\']')).result;
  assert.deepEqual(
    Object.keys(config.Volumes ?? {}),
    ['/a', '/b', '/c d', "['/e']"].map((path) => (path === "['/e']" ? '[/e]' : path)),
  );
  assert.equal((await plan('FROM scratch\nSTOPSIGNAL kill')).result.config.StopSignal, 'kill');
  await assert.rejects(plan('FROM scratch\nSTOPSIGNAL SIGFOO'), /invalid signal: SIGFOO/);
});

test('11.36 HEALTHCHECK', async () => {
  const source = 'FROM scratch\nHEALTHCHECK --interval=1m30s --retries=2 CMD a b';
  assert.deepEqual((await plan(source)).result.config.Healthcheck, { Test: ['CMD-SHELL', 'a b'], Interval: 90000000000, Retries: 2 });
  assert.deepEqual(await history(source), [
    'HEALTHCHECK {Test:[CMD-SHELL a b] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:2} (empty)',
  ]);
});

test('11.38, 11.39 USER, MAINTAINER and LABEL', async () => {
  assert.equal((await plan('FROM scratch\nUSER a b')).result.config.User, 'a b');
  const { result } = await plan('FROM scratch\nMAINTAINER me\nLABEL "a b"=c d.e=');
  assert.deepEqual([result.author, { ...result.config.Labels }], ['me', { 'a b': 'c', 'd.e': '' }]);
});

test('11.40, 11.42 ONBUILD runs once, in the next stage, and leaves no history of its own', async () => {
  const { result } = await plan('FROM scratch\nONBUILD RUN x\nONBUILD ENV A=$B');
  assert.deepEqual([result.config.OnBuild, result.history], [['RUN x', 'ENV A=$B'], []]);
  const source = 'FROM scratch AS a\nONBUILD LABEL z=1\nFROM a AS b\nFROM b';
  assert.deepEqual(await labels(source), { z: '1' });
  assert.deepEqual(await history(source), ['LABEL z=1 (empty)']);
  assert.equal((await plan(source)).result.config.OnBuild, undefined);
});

test('11.43 a stage is named in lower case', async () => {
  await assert.rejects(plan('FROM scratch AS Web\nFROM Web'), /line 2: failed to parse "Web"/);
  await plan('FROM scratch AS Web\nFROM web');
});

test('11.44, 11.45, 11.46 COPY --from', async () => {
  const later = 'FROM scratch AS a\nCOPY --from=b /x /\nFROM scratch AS b';
  await plan(later);
  await assert.rejects(plan(later, { target: 'a' }), /cannot copy from stage "b", it needs to be defined before current stage "a"/);
  await assert.rejects(plan('FROM scratch\nCOPY --from=0 f /'), /circular dependency detected on stage: stage-0/);
  await assert.rejects(plan('FROM scratch\nCOPY --from=9 f /'), /invalid stage index 9/);
  await assert.rejects(plan('ARG S=x\nFROM scratch\nCOPY --from=$S a b'), /variable expansion is not supported for --from/);
});

test('11.47 what no target needs is not asked for', async () => {
  const asked: string[] = [];
  assert.deepEqual(await labels('FROM nosuch.invalid/x AS u\nFROM scratch\nLABEL a=b', { asked }), { a: 'b' });
  assert.deepEqual(asked, []);
});

test('11.48, 11.49 heredocs of COPY', async () => {
  const files = async (source: string) => {
    const { root } = (await plan(source)).result;
    return root.kind === 'copy' ? root.sources.map((input) => (input.kind === 'file' ? [input.name, input.body] : [])) : [];
  };
  assert.deepEqual(await files('FROM scratch\nCOPY <<E /a\nx $U \\$U a\\tb\nE'), [['E', 'x  $U atb\n']]);
  assert.deepEqual(await files("FROM scratch\nCOPY <<'E' /a\nx $U\nE"), [['E', 'x $U\n']]);
  assert.deepEqual(await history('FROM scratch\nCOPY <<E /a\nx\nE'), ['COPY <<E /a # buildkit']);
});

test('11.51 a script in a heredoc is run from /dev/pipes', async () => {
  const source = 'FROM busybox\nRUN <<E\n#!/bin/sh\necho $0 >/o\nE';
  const { root } = (await plan(source, { images: busybox })).result;
  assert.ok(root.kind === 'run');
  assert.deepEqual([root.argv, root.scripts], [['/bin/sh', '-c', '/dev/pipes/E'], [{ name: 'E', body: '#!/bin/sh\necho $0 >/o\n' }]]);
  assert.deepEqual(await history(source, { images: busybox }), ['RUN /bin/sh -c /dev/pipes/E # buildkit']);
});

test('RUN with words beside its heredoc gives all to the shell', async () => {
  const { root } = (await plan('FROM busybox\nRUN <<E cat\nx\nE', { images: busybox })).result;
  assert.deepEqual(root.kind === 'run' && root.argv, ['/bin/sh', '-c', '<<E cat\nx\nE']);
  const { root: plain } = (await plan('FROM busybox\nRUN <<E\nx\ny\nE', { images: busybox })).result;
  assert.deepEqual(plain.kind === 'run' && plain.argv, ['/bin/sh', '-c', 'x\ny\n']);
});

test('11.57 a mode that is none', async () => {
  await assert.rejects(plan('FROM scratch\nCOPY --chmod=64a d /o'), /line 2: invalid chmod parameter: '64a'/);
});

test('11.58 declared ARGs are in the history of RUN', async () => {
  const lines = await history('FROM busybox\nARG X=1\nARG Y\nENV X=2\nRUN true', { images: busybox });
  assert.equal(lines.at(-1), 'RUN |2 X=2 Y= /bin/sh -c true # buildkit');
});

test('COPY: where it goes, and what it shows', async () => {
  const { root } = (await plan('FROM scratch\nWORKDIR /w\nCOPY --chown=u:g --chmod=644 --link a b sub/')).result;
  assert.ok(root.kind === 'copy');
  assert.deepEqual([root.destination, root.owner, root.mode, root.link], ['/w/sub/', 'u:g', { kind: 'octal', mode: 0o644 }, true]);
  assert.deepEqual(await history('FROM scratch\nCOPY --chown=u --chmod=644 --from=0 a /b\n'.replace('--from=0 ', '')), [
    'COPY --chown=u --chmod=644 a /b # buildkit',
  ]);
  await assert.rejects(plan('FROM scratch\nCOPY a b c'), /the destination must be a directory and end with a \//);
  await assert.rejects(plan('FROM scratch\nCOPY https://x/y /z'), /source can't be a URL for COPY/);
});

test('RUN mounts: types, defaults, sources', async () => {
  const source = [
    'FROM busybox AS tools',
    'FROM busybox',
    'WORKDIR /w',
    'ARG KEY=pip',
    'RUN --mount=type=cache,id=$KEY,target=cache,sharing=locked --mount=from=tools,src=/bin,dst=/t --mount=type=secret,id=tok,env=TOKEN --mount=type=ssh true',
  ].join('\n');
  const { root } = (await plan(source, { images: busybox })).result;
  assert.ok(root.kind === 'run');
  const [cache, bind, secret, ssh] = root.mounts;
  assert.deepEqual(cache, {
    type: 'cache',
    target: '/w/cache',
    id: 'pip',
    sharing: 'locked',
    from: null,
    source: '/',
    writable: true,
    mode: 0o755,
    uid: 0,
    gid: 0,
  });
  assert.deepEqual([bind?.type === 'bind' && bind.from.kind, bind?.target, bind?.type === 'bind' && bind.writable], ['image', '/t', false]);
  assert.deepEqual(secret?.type === 'secret' && [secret.target, secret.variable, secret.mode], [null, 'TOKEN', 0o400]);
  assert.deepEqual(ssh?.type === 'ssh' && [ssh.id, ssh.target], ['default', '/run/buildkit/ssh_agent.3']);
});

const badMounts: readonly (readonly [string, RegExp])[] = [
  ['type=bind', /mount of type bind needs a target/],
  ['type=cache,target=/', /invalid mount target "\/"/],
  ['type=foo,target=/x', /unsupported mount type "foo"/],
  ['target=/x,mode=0700', /mode not allowed for "bind" type mounts/],
  ['target=/x,size=1m', /unexpected key 'size' for mount type 'bind'/],
  ['target=/x,nope=1', /unexpected key 'nope' in/],
  ['type=cache,target=/x,sharing=maybe', /unsupported sharing value "maybe"/],
  ['type=tmpfs,target=/x,size=big', /invalid value for size: big/],
  ['target=/x,from=$A', /'from' doesn't support variable expansion/],
];

for (const [mount, expected] of badMounts) {
  test(`RUN --mount=${mount} is refused`, async () => {
    await assert.rejects(plan(`FROM busybox\nRUN --mount=${mount} true`, { images: busybox }), expected);
  });
}

test('planBuild: operations of a stage that two others use are one', async () => {
  const source = 'FROM busybox AS a\nRUN x\nFROM scratch AS b\nCOPY --from=a /1 /\nFROM scratch\nCOPY --from=a /2 /\nCOPY --from=b / /';
  const { root } = (await plan(source, { images: busybox })).result;
  const runs = new Set<Operation>();
  const walk = (operation: Operation) => {
    if (operation.kind === 'run') runs.add(operation);
    inputsOf(operation).forEach(walk);
  };
  walk(root);
  assert.equal(runs.size, 1);
});

test('planBuild: titles number the steps of a stage', async () => {
  const { root } = (await plan('FROM busybox AS web\nENV A=1\nRUN x\nFROM web\nCOPY a /b', { images: busybox })).result;
  assert.equal(root.kind === 'copy' && root.step.title, '[stage-1 2/2] COPY a /b');
  assert.equal(root.kind === 'copy' && root.parent.kind === 'run' && root.parent.step.title, '[web 2/2] RUN x');
});

test('planBuild: build arguments that nobody declared, and a target that is not there', async () => {
  const { unusedArguments } = await plan('FROM scratch\nARG A', { args: { A: '1', B: '2', HTTP_PROXY: 'x' } });
  assert.deepEqual(unusedArguments, ['B']);
  await assert.rejects(plan('FROM scratch AS web', { target: 'wbe' }), /target stage "wbe" could not be found: there are web/);
});

test('planBuild: proxies are seen by RUN and are no part of its environment', async () => {
  const { root } = (await plan('FROM busybox\nRUN x', { images: busybox, args: { http_proxy: 'http://p' } })).result;
  assert.ok(root.kind === 'run');
  assert.deepEqual(root.hiddenEnvironment, ['HTTP_PROXY=http://p', 'http_proxy=http://p']);
  assert.ok(!root.environment.some((entry) => /proxy/i.test(entry)));
});

test('a misspelt stage is told, where no image has its name either', async () => {
  const source = 'FROM scratch AS build\nFROM scratch\nCOPY --from=biuld /x /\n';
  await assert.rejects(plan(source), /no stage is called biuld: did you mean build\?/);
});
