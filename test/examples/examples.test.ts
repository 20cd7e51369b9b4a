/**
 * Every folder of `examples/`, built as its README says from two copies at different times without a cache: one image ID, and it does what it is for. Packages come over the network, through NAT, so
 * this is a step of its own (`npm test -- test/examples`), as the second kernel is. Needs root, mmdebstrap, and Debian's, Python's and npm's package registries.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import type { GantryRegistry } from '../harness/gantry-registry.ts';
import { programEntry } from '../harness/program.ts';
import { certificates, startMirror } from './stand-ins.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const examples = fileURLToPath(new URL('../../examples', import.meta.url));

interface Expectation {
  /** What it is for: a shell script on the host; `$IMAGE` is it. */
  readonly script: string;
  readonly prints: RegExp;
  /** Its commands write what differs each time; `--verify` must name it so. */
  readonly differs?: RegExp;
}

const expectations: Readonly<Record<string, Expectation>> = {
  'python-web': { script: served(8000, '/'), prints: /Hello from a container/ },
  'node-app': { script: served(3000, '/'), prints: /Hello, you are visitor [\w-]{21}/ },
  'c-scratch': { script: 'docker run --rm --network none $IMAGE you', prints: /^Hello, you\n$/ },
  'static-site': { script: served(8080, '/'), prints: /<h1>A static site<\/h1>/ },
  jupyter: { script: served(8888, '/api'), prints: /"version": ?"/ },
  'deep-learning': {
    script: 'docker run --rm --network none $IMAGE --epochs 40',
    prints: /epoch 40\/40: .*\ntrained 40 epochs: loss 0\.0\d+, accuracy 9\d\.\d%.*\n$/,
    // As people write it, apt's logs and caches stay in the layer.
    differs: /RUN apt-get update .*\n\s*\/var\/(log|cache|lib)\/\S+: /,
  },
};

/** Runs it, waits until the port answers, and asks. */
function served(port: number, path: string): string {
  return `set -e
    id=$(docker run -d -p 127.0.0.1::${port} $IMAGE); trap 'docker logs $id >&2; docker rm -fv $id >/dev/null' EXIT
    at=$(docker port $id ${port}); for try in $(seq 300); do curl -sf -m 5 http://$at${path} && exit 0; sleep 0.2; done; exit 1`;
}

suite('examples: built twice, one image, and it works', { skip }, () => {
  let directory: string;
  let mirror: GantryRegistry;
  let daemon: GantryDaemon;
  let secrets: readonly string[];

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-examples-'));
    mirror = await startMirror(directory);
    daemon = await startGantry({ flags: ['--registry-mirror', mirror.url] });
    writeFileSync(join(directory, 'pip.conf'), '[global]\ncert = /run/secrets/ca\ndisable-pip-version-check = true\n');
    writeFileSync(join(directory, 'npmrc'), 'cafile=/run/secrets/ca\nupdate-notifier=false\n');
    secrets = [
      ['pip', join(directory, 'pip.conf')],
      ['npm', join(directory, 'npmrc')],
      ['ca', certificates],
    ].flatMap(([id, source]) => ['--secret', `id=${id},src=${source}`]);
  });

  after(async () => {
    await daemon?.dispose();
    await mirror?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  test('each folder has an expectation', () => {
    assert.deepEqual(readdirSync(examples).sort(), Object.keys(expectations).sort());
  });

  for (const [name, { script, prints, differs }] of Object.entries(expectations))
    test(name, { timeout: 500_000 }, async () => {
      if (differs === undefined) {
        const ids = [await built(name, 'one', 0), await built(name, 'two', 86_400)];
        assert.equal(ids[0], ids[1], 'two builds gave two images');
      } else {
        const verified = await build(name, 'one', 0, '--verify');
        assert.equal(verified.status, 1, 'what differs is not a success');
        // The image is there all the same.
        assert.match(verified.stdout, differs);
      }
      const env = { ...process.env, DOCKER_HOST: daemon.host, IMAGE: name };
      const { status, stdout, stderr } = await runCommand(['/bin/sh', '-c', script], { env, timeoutMs: 120_000 });
      assert.equal(status, 0, stderr);
      assert.match(stdout, prints);
    });

  async function built(name: string, copy: string, ageSeconds: number): Promise<string> {
    await succeed(build(name, copy, ageSeconds, '--no-cache'));
    const inspected = await succeed(runCommand(['docker', '-H', daemon.host, 'image', 'inspect', '-f', '{{.Id}}', name]));
    return inspected.stdout.trim();
  }

  /** From a copy whose files are as old as that. */
  function build(name: string, copy: string, ageSeconds: number, ...flags: readonly string[]): Promise<CommandResult> {
    const context = join(directory, copy, name);
    cpSync(join(examples, name), context, { recursive: true });
    const at = Date.now() / 1000 - ageSeconds;
    for (const file of readdirSync(context, { recursive: true })) utimesSync(join(context, String(file)), at, at);
    const command = [process.execPath, '--no-warnings', programEntry, '-H', daemon.host, 'build', '--progress', 'plain'] as const;
    return runCommand([...command, ...flags, ...secrets, '-t', name, context], { timeoutMs: 400_000 });
  }
});

async function succeed(running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  assert.equal(result.status, 0, `${result.stdout}${result.stderr}`);
  return result;
}
