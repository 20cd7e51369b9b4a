/** RUN from its operation to its layer, over the native runtime and the stores: what gets into a layer, and what never does. Needs root and busybox-static. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { BuildClient } from '../../src/build/build-client.ts';
import type { CacheMounts } from '../../src/build/cache/build-cache.ts';
import { plainRunSettings } from '../../src/build/core/testing/plain-run-settings.ts';
import { createLayerWork, type OpenLayerWork } from '../../src/build/files/create-layer-work.ts';
import type { MadeLayer } from '../../src/build/files/layer-work.ts';
import type { Operation, RunOperation } from '../../src/build/plan/operation.ts';
import type { Tree } from '../../src/build/result.ts';
import { createRunWork, type OpenRunWork } from '../../src/build/run/create-run-work.ts';
import { createStepExecutor } from '../../src/daemon/build/step-executor.ts';
import { createLeases } from '../../src/store/leases.ts';
import { whyNoNativeRuntime } from '../kernel/native-fixture.ts';
import { StepsFixture } from './steps-fixture.ts';

const skip = whyNoNativeRuntime() ?? false;
const emptyLayer = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

suite('RUN and its layer', { skip }, () => {
  let fixture: StepsFixture;
  let layerWork: OpenLayerWork;
  let runs: OpenRunWork;
  let tree: Tree;
  let cache: string;
  const lease = createLeases().acquire();
  const parent: Operation = { kind: 'scratch' };

  before(async () => {
    fixture = new StepsFixture();
    await fixture.open();
    const { layers, blobs, directory } = fixture;
    const scratch = join(directory, 'data/build/tmp');
    layerWork = createLayerWork({ layers, blobs, root: scratch });
    tree = await fixture.imageTree(lease);
    cache = join(directory, 'data/build/mounts/1');
    mkdirSync(cache, { recursive: true });
    const cacheMounts: CacheMounts = { acquire: async () => ({ directory: cache, release: async () => {} }), pack: () => null };
    runs = createRunWork({ executor: createStepExecutor(fixture.steps), layers, layerWork, cacheMounts, scratch });
  });

  after(async () => {
    const left = fixture.leftovers();
    await runs.close();
    await layerWork.close();
    await fixture.dispose();
    assert.deepEqual(left, []);
  });

  async function run(
    script: string,
    changes: Partial<RunOperation> = {},
    secrets: Readonly<Record<string, string>> = {},
    told: (output: string) => void = () => {},
  ): Promise<{ readonly made: MadeLayer; readonly output: string }> {
    let output = '';
    const operation: RunOperation = {
      kind: 'run',
      step: { title: 'RUN', place: null as unknown as RunOperation['step']['place'] },
      parent,
      epoch: 1_000_000,
      argv: ['/bin/sh', '-c', script],
      environment: ['PATH=/bin'],
      hiddenEnvironment: [],
      cwd: '/',
      user: '',
      platform: { os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' },
      mounts: [],
      network: 'none',
      security: 'sandbox',
      devices: [],
      scripts: [],
      ...changes,
    };
    const client = { secret: async (id: string) => Buffer.from(secrets[id] ?? '') } as unknown as BuildClient;
    const settings = { ...plainRunSettings };
    const request = {
      operation,
      parent: tree,
      inputs: new Map([[parent, tree]]),
      client,
      settings,
      entitlements: new Set<string>(),
      lease,
      importedMount: async () => null,
    };
    const sink = (_: string, bytes: Uint8Array) => {
      output += Buffer.from(bytes).toString();
      told(output);
    };
    const made = await runs.run(request, sink, new AbortController().signal);
    return { made, output };
  }

  const entries = ({ blob }: MadeLayer): readonly string[] =>
    execFileSync('tar', ['-tf', fixture.blobs.path(blob.digest)], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean);

  const owned = { mode: 0o400, uid: 0, gid: 0 };
  const mounts: RunOperation['mounts'] = [
    { type: 'secret', id: 'token', target: '/run/secrets/token', variable: 'TOKEN', required: true, ...owned },
    { type: 'cache', target: '/root/.cache/x', id: 'x', sharing: 'shared', from: null, source: '/', writable: true, ...owned },
    { type: 'bind', target: '/src/tree', from: parent, source: '/etc', writable: true },
    { type: 'tmpfs', target: '/tmp/t', sizeBytes: null },
  ];

  test('a step that writes nothing makes the empty layer, whatever was mounted for it', async () => {
    const scripts = [{ name: 'E', body: '#!/bin/sh\ncat /etc/hosts /etc/resolv.conf >/dev/null; touch /root/.cache/x/f /src/tree/g\n' }];
    const { made } = await run('/dev/pipes/E', { mounts, scripts, cwd: '/root' }, { token: 'x' });
    assert.equal(made.layer.diffId, emptyLayer);
  });

  test('the same step makes the same layer, at any time', async () => {
    const script =
      'mkdir -p /srv/b /srv/a; echo $SOURCE_DATE_EPOCH >/srv/a/f; ln -s f /srv/a/l; ln /srv/a/f /srv/b/h; chown 7:8 /srv/b; rm /etc/group';
    const [first, second] = [await run(script, { mounts }, { token: 'x' }), await run(script)];
    assert.equal(first.made.layer.diffId, second.made.layer.diffId);
    assert.deepEqual(entries(first.made), ['etc/', 'etc/.wh.group', 'srv/', 'srv/a/', 'srv/a/f', 'srv/a/l', 'srv/b/', 'srv/b/h']);
    assert.equal(readFileSync(join(fixture.layers.root, first.made.layer.directory, 'fs/srv/a/f'), 'utf8'), '1000000\n');
  });

  test('SEC-22: a secret is in no layer, file, process argument or output', async () => {
    const canary = `canary-${process.pid}-${Math.random().toString(36).slice(2)}`;
    const found = (): string => {
      const inFiles = execFileSync('sh', ['-c', `grep -rlFf - "$1" 2>/dev/null; exit 0`, 'sh', fixture.directory], {
        input: canary,
        encoding: 'utf8',
      });
      const inArguments = execFileSync(
        'sh',
        ['-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n" | grep -cFf /dev/fd/3 3<&0; exit 0'],
        {
          input: canary,
          encoding: 'utf8',
        },
      );
      return inFiles + inArguments.trim();
    };
    const script =
      'cat /run/secrets/token >&2; echo "is $TOKEN"; echo ready; while [ ! -e /root/.cache/x/go ]; do sleep 0.02; done; echo made >/made';
    const ready = Promise.withResolvers<void>();
    const running = run(script, { mounts }, { token: canary }, (output) => (output.includes('ready') ? ready.resolve() : undefined));
    await Promise.race([ready.promise, running]);
    const during = found();
    writeFileSync(join(cache, 'control'), canary);
    assert.equal(found(), `${join(cache, 'control')}\n0`, 'it would be found');
    rmSync(join(cache, 'control'));
    writeFileSync(join(cache, 'go'), '');
    const { made, output } = await running;
    assert.deepEqual([during, found()], ['0', '0']);
    assert.match(output, /is \*\*\*\*\nready\n$/);
    assert.ok(!output.includes(canary));
    assert.ok(!execFileSync('cat', [fixture.blobs.path(made.blob.digest)]).includes(canary));
    assert.deepEqual(entries(made), ['made']);
  });

  test('what fails is told with its exit code, and leaves no layer and no workspace', async () => {
    await assert.rejects(run('echo x >/y; exit 9'), {
      name: 'ProcessFailure',
      exitCode: 9,
      message: 'process "/bin/sh -c echo x >/y; exit 9" did not complete successfully: exit code: 9',
    });
    await assert.rejects(run('', { argv: ['/bin/bash', '-c', 'x'] }), {
      exitCode: 127,
      message: /^process "\/bin\/bash -c x" could not be started: exec.*no such file or directory: the image has no shell \/bin\/bash\./,
    });
    await assert.rejects(run('', { argv: ['nope'] }), { exitCode: 127, message: /"nope": executable file not found in \$PATH$/ });
    await layerWork.settled();
    const workspaces = readdirSync(join(fixture.directory, 'data/build/tmp')).filter((name) => name !== 'empty');
    assert.deepEqual(workspaces, []);
  });
});
