import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { RunSettings } from '../build-request.ts';
import type { CacheMountRequest, CacheMounts } from '../cache/build-cache.ts';
import { plainRunSettings as settings } from '../core/testing/plain-run-settings.ts';
import type { MadeLayer } from '../files/layer-work.ts';
import type { ContextOperation, Operation, RunMount, RunOperation } from '../plan/operation.ts';
import type { OperationResult, Tree } from '../result.ts';
import { createRunWork } from './create-run-work.ts';
import { type StepEnd, type StepExecutor, type StepRequest, StepStartError } from './step-executor.ts';

const parentTree: Tree = { kind: 'tree', layers: [], identity: 'tree' };
const parent: Operation = { kind: 'scratch' };
const context: ContextOperation = { kind: 'context', name: '' };
const place = { range: null } as unknown as RunOperation['step']['place'];

function runOperation(changes: Partial<RunOperation> = {}): RunOperation {
  return {
    kind: 'run',
    step: { title: 'RUN x', place },
    parent,
    epoch: 77,
    argv: ['/bin/sh', '-c', 'x'],
    environment: [],
    hiddenEnvironment: [],
    cwd: '/',
    user: '',
    platform: { os: 'linux', architecture: 'amd64' },
    mounts: [],
    network: 'default',
    security: 'sandbox',
    devices: [],
    scripts: [],
    ...changes,
  };
}

interface Fakes {
  end?: StepEnd | Error;
  print?: readonly string[];
  secrets?: Readonly<Record<string, string>>;
  agents?: readonly string[];
  entitlements?: readonly string[];
  settings?: Partial<RunSettings>;
  whyNot?: string;
  acquire?: (request: CacheMountRequest) => Promise<void> | void;
}

/** What became of it, with everything that was asked on the way. */
function fixture(test: TestContext, fakes: Fakes = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'g-runwork-'));
  test.after(() => rmSync(directory, { recursive: true, force: true }));
  const done: string[] = [];
  const requests: StepRequest[] = [];
  const executor: StepExecutor = {
    whyNot: () => fakes.whyNot ?? null,
    findDevices: async (wanted) => wanted.map((device) => ({ ...device, word: device.name, isOpen: device.name.endsWith('=open') })),
    async run(request, output) {
      requests.push(request);
      for (const text of fakes.print ?? []) output('stdout', Buffer.from(text));
      const { end = { exitCode: 0, oomKilled: false } } = fakes;
      if (end instanceof Error) throw end;
      return end;
    },
  };
  const cacheMounts: CacheMounts = {
    async acquire(request) {
      await fakes.acquire?.(request);
      done.push(`hold ${request.id}`);
      const place = join(directory, `cache-${done.length}`);
      mkdirSync(place);
      await request.fill?.(place);
      return { directory: place, release: async () => void done.push(`give back ${request.id}`) };
    },
    pack: () => null,
  };
  const made = { layer: { diffId: 'd' } } as unknown as MadeLayer;
  const work = createRunWork({
    executor,
    cacheMounts,
    scratch: join(directory, 'scratch'),
    layers: { mountOrder: () => ({ base: '/layers', lowers: ['2', '1'] }) },
    layerWork: {
      workspace: async () => {
        done.push('workspace');
        return { directory, upper: '/upper', work: '/work', discard: async () => void done.push('discard') };
      },
      seal: async (_, __, epoch) => {
        done.push(`seal ${epoch}`);
        return made;
      },
    },
  });
  test.after(() => work.close());
  const client = {
    secret: async (id: string) => {
      done.push(`secret ${id}`);
      const text = fakes.secrets?.[id];
      return text === undefined ? null : Buffer.from(text);
    },
    hasSshAgent: async (id: string) => fakes.agents?.includes(id) === true,
    connectSshAgent: async () => new PassThrough(),
  } as unknown as BuildClient;
  const contextFiles = join(directory, 'context');
  mkdirSync(join(contextFiles, 'sub'), { recursive: true });
  writeFileSync(join(contextFiles, 'sub', 'seed'), 'seed');
  const inputs = new Map<Operation, OperationResult>([
    [parent, parentTree],
    [context, { kind: 'files', directory: contextFiles, index: null }],
  ]);
  let output = '';
  return {
    done,
    requests,
    contextFiles,
    output: () => output,
    run: (operation: RunOperation, signal = new AbortController().signal) =>
      work.run(
        {
          operation,
          parent: parentTree,
          inputs,
          client,
          settings: { ...settings, ...fakes.settings },
          entitlements: new Set(fakes.entitlements),
          lease: {} as Lease,
          importedMount: async () => null,
        },
        (_, bytes) => {
          output += Buffer.from(bytes).toString();
        },
        signal,
      ),
  };
}

const mountDefaults = { mode: 0o400, uid: 0, gid: 0 };

function secretMount(id: string, changes: Partial<RunMount & { type: 'secret' }> = {}): RunMount {
  return { type: 'secret', id, target: `/run/secrets/${id}`, variable: null, required: false, ...mountDefaults, ...changes };
}

function cacheMount(id: string, changes: Partial<RunMount & { type: 'cache' }> = {}): RunMount {
  const mount = { type: 'cache', target: `/c/${id}`, id, sharing: 'shared', from: null, source: '/', writable: true } as const;
  return { ...mount, ...mountDefaults, ...changes };
}

test('run: the process gets what the operation says, its layer is sealed with the epoch', async (t) => {
  const { run, requests, done } = fixture(t);
  await run(
    runOperation({
      environment: ['A=1', 'SOURCE_DATE_EPOCH=5'],
      hiddenEnvironment: ['HTTP_PROXY=p'],
      scripts: [{ name: 'E', body: '#!/bin/sh\n' }],
      mounts: [
        { type: 'bind', target: '/src', from: context, source: '/sub', writable: false },
        { type: 'bind', target: '/rw', from: context, source: '/', writable: true },
        { type: 'bind', target: '/tree', from: parent, source: '/etc', writable: false },
        { type: 'tmpfs', target: '/t', sizeBytes: 5 },
      ],
    }),
  );
  const [step] = requests;
  assert.deepEqual(done, ['workspace', 'seal 77']);
  assert.deepEqual(step?.lowers, { base: '/layers', lowers: ['2', '1'] });
  assert.deepEqual(step?.environment, ['SOURCE_DATE_EPOCH=77', 'HTTP_PROXY=p', 'A=1', 'SOURCE_DATE_EPOCH=5'], 'later ones win');
  assert.deepEqual(
    step?.mounts.map((mount) => [mount.kind, mount.target, 'subpath' in mount ? mount.subpath : '', 'writable' in mount && mount.writable]),
    [
      ['directory', '/src', '/sub', false],
      ['tree', '/rw', '', true],
      ['tree', '/tree', '/etc', false],
      ['tmpfs', '/t', '', false],
      ['file', '/dev/pipes/E', '', false],
    ],
  );
});

test('run: a failure is told as BuildKit tells it, and nothing of the step is kept', async (t) => {
  const failure = (end: StepEnd | Error, more: Fakes = {}) => {
    const { run, done } = fixture(t, { end, ...more });
    return { failed: run(runOperation({ argv: ['/bin/sh', '-c', 'exit 3'] })), done };
  };
  const { failed, done } = failure({ exitCode: 3, oomKilled: false });
  const text = 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3';
  await assert.rejects(failed, { name: 'ProcessFailure', exitCode: 3, message: text });
  assert.deepEqual(done, ['workspace', 'discard']);
  await assert.rejects(failure({ exitCode: 139, oomKilled: false }).failed, /exit code: 139 \(SIGSEGV\)$/);
  const limited = failure({ exitCode: 137, oomKilled: true }, { settings: { memoryBytes: 1000 } }).failed;
  await assert.rejects(limited, /exit code: 137: cannot allocate memory \(.*the limit is 1000 bytes\)$/);
  const shell = failure(new StepStartError('exec: "/bin/sh": stat /bin/sh: no such file or directory', 127, null)).failed;
  await assert.rejects(shell, {
    exitCode: 127,
    message: /no such file or directory: the image has no shell \/bin\/sh\. Write the command as a list/,
  });
  const covered = failure(new StepStartError('cannot bind /c to /src/x: EROFS', 128, null)).failed;
  await assert.rejects(covered, {
    exitCode: 128,
    message: /EROFS: its mount point lies in a mount that is read-only\. Have it there already, or add rw/,
  });
  await assert.rejects(failure(new Error('disk')).failed, /^Error: disk$/);
});

test('SEC-19 run: without its entitlement nothing of it is begun', async (t) => {
  const cases: readonly (readonly [Partial<RunOperation>, Partial<RunSettings>, string])[] = [
    [{ network: 'host' }, {}, 'network.host'],
    [{}, { network: 'host' }, 'network.host'],
    [{ security: 'insecure' }, {}, 'security.insecure'],
    [{ devices: [{ name: '/dev/fuse', required: false }] }, {}, 'device'],
  ];
  for (const [changes, asked, entitlement] of cases) {
    const { run, done } = fixture(t, { settings: asked });
    const message = `entitlement ${entitlement} is not allowed: allow it for this build with --allow ${entitlement}`;
    await assert.rejects(run(runOperation({ ...changes, mounts: [secretMount('a')] })), { message });
    assert.deepEqual(done, []);
    const allowed = fixture(t, { settings: asked, entitlements: [entitlement] });
    await allowed.run(runOperation(changes));
    assert.equal(allowed.requests[0]?.network, entitlement === 'network.host' ? 'host' : 'default');
  }
  const gpu = runOperation({ devices: [{ name: 'a/b=c', required: true }] });
  const message =
    'device a/b=c is requested by the build but not allowed: allow it for this build with --allow device, or --allow device=a/b=c';
  await assert.rejects(fixture(t).run(gpu), { message });
  for (const allowed of ['device', 'device=a/b=c', 'device=a/b=*']) {
    const { run, requests } = fixture(t, { entitlements: [allowed] });
    await run(gpu);
    assert.equal(requests[0]?.devices[0]?.name, 'a/b=c');
  }
  await assert.rejects(fixture(t, { entitlements: ['device=a/b=d'] }).run(gpu), { message });
  await fixture(t).run(runOperation({ devices: [{ name: 'a/b=open', required: true }] }));
  const none = fixture(t, { settings: { network: 'host' } });
  await none.run(runOperation({ network: 'none' }));
  assert.equal(none.requests[0]?.network, 'none');
});

test('run: a platform that cannot run here is told before anything is prepared', async (t) => {
  const { run, done } = fixture(t, { whyNot: 'linux/s390x cannot run here' });
  await assert.rejects(run(runOperation({ mounts: [cacheMount('a')] })), /linux\/s390x cannot run here/);
  assert.deepEqual(done, []);
});

test('SEC-22 run: secrets reach their mounts and variables, and are not shown', async (t) => {
  const { run, requests, output, done } = fixture(t, { secrets: { a: 'canary\n', b: 'bird' }, print: ['x can', 'ary bi', 'rd y'] });
  const variable = { variable: 'B', target: null };
  await run(runOperation({ mounts: [secretMount('a'), secretMount('a', { target: '/x' }), secretMount('b', variable), secretMount('c')] }));
  const [step] = requests;
  assert.deepEqual(
    step?.mounts.map((mount) => [mount.kind, mount.target]),
    [
      ['secret', '/run/secrets/a'],
      ['secret', '/x'],
    ],
  );
  assert.deepEqual(step?.environment, ['SOURCE_DATE_EPOCH=77', 'B=bird']);
  assert.equal(output(), 'x **** **** y');
  assert.deepEqual(done, ['secret a', 'secret b', 'secret c', 'workspace', 'seal 77'], 'asked once each');
});

test('run: secrets that are required and not given, or too large, and agents that are not forwarded', async (t) => {
  const required = { required: true };
  await assert.rejects(fixture(t).run(runOperation({ mounts: [secretMount('tok', required)] })), /secret tok: not found/);
  const large = fixture(t, { secrets: { big: 'x'.repeat(500_001) } });
  await assert.rejects(large.run(runOperation({ mounts: [secretMount('big')] })), /secret big has 500001 bytes: at most 500000/);
  const nul = fixture(t, { secrets: { n: 'a\0b' } });
  await assert.rejects(nul.run(runOperation({ mounts: [secretMount('n', { variable: 'N' })] })), /holds a NUL byte/);
  const ssh = { type: 'ssh', id: 'default', target: '/run/a', ...mountDefaults } as const;
  await assert.rejects(
    fixture(t).run(runOperation({ mounts: [{ ...ssh, required: true }] })),
    /no SSH key "default" forwarded from the client/,
  );
  const without = fixture(t);
  await without.run(runOperation({ mounts: [{ ...ssh, required: false }] }));
  assert.deepEqual(without.requests[0]?.mounts, []);
  const agent = fixture(t, { agents: ['default'] });
  await agent.run(runOperation({ mounts: [{ ...ssh, required: true }] }));
  assert.equal(agent.requests[0]?.environment.includes('SSH_AUTH_SOCK=/run/a'), true);
  assert.equal(agent.requests[0]?.mounts[0]?.kind, 'socket');
});

test('run: cache mounts are held once each, in one order (two that lock the same never wait for each other), and given back however it ends', async (t) => {
  const { run, requests, done } = fixture(t, { end: { exitCode: 1, oomKilled: false } });
  const twice = cacheMount('b', { target: '/again', sharing: 'locked' });
  await assert.rejects(run(runOperation({ mounts: [cacheMount('b', { sharing: 'locked' }), cacheMount('a'), twice] })), /exit code: 1/);
  assert.deepEqual(done, ['hold a', 'hold b', 'workspace', 'discard', 'give back a', 'give back b']);
  const sources = requests[0]?.mounts.map((mount) => ('source' in mount ? mount.source : ''));
  assert.equal(sources?.[0], sources?.[2]);
  const failing = fixture(t, {
    acquire: ({ id }) => {
      if (id === 'b') throw new Error('gone');
    },
  });
  await assert.rejects(failing.run(runOperation({ mounts: [cacheMount('a'), cacheMount('b')] })), /gone/);
  assert.deepEqual(failing.done, ['hold a', 'give back a']);
});

test('SEC-19 run: a cache mount starts with what it is from, and nothing else', {
  skip: process.getuid?.() === 0 ? false : 'needs root',
}, async (t) => {
  const origins: string[] = [];
  const { run, requests, contextFiles } = fixture(t, { acquire: ({ origin }) => void origins.push(origin) });
  symlinkSync('../../../../../../../../../../../../etc', join(contextFiles, 'out'));
  symlinkSync('/sub', join(contextFiles, 'in'));
  await run(runOperation({ mounts: [cacheMount('a', { from: context, source: '/sub' }), cacheMount('b', { source: '/' })] }));
  const [filled, empty] = requests[0]?.mounts ?? [];
  assert.ok(filled?.kind === 'directory' && empty?.kind === 'directory');
  assert.equal(readFileSync(join(filled.source, 'seed'), 'utf8'), 'seed');
  assert.deepEqual(origins.slice(0, 2), ['context:/sub', '']);
  // SEC-19: a link on the way stays inside.
  await run(runOperation({ mounts: [cacheMount('a', { from: context, source: '/in' })] }));
  const [linked] = requests[1]?.mounts ?? [];
  assert.ok(linked?.kind === 'directory' && readFileSync(join(linked.source, 'seed'), 'utf8') === 'seed');
  await assert.rejects(run(runOperation({ mounts: [cacheMount('a', { from: context, source: '/out' })] })), /"\/out": not found/);
  await assert.rejects(run(runOperation({ mounts: [cacheMount('a', { from: context, source: '/missing' })] })), /"\/missing": not found/);
  await assert.rejects(run(runOperation({ mounts: [cacheMount('a', { from: context, source: '/sub/seed' })] })), /not a directory/);
});
