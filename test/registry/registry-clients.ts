/** Clients of a registry, all with the same two verbs: skopeo, the docker CLI through the peer engine, and our daemon. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf } from '../../src/oci/digest.ts';
import { runCommand } from '../harness/command.ts';
import { inspectImage, pull, push } from './engine-images.ts';

export interface RegistryClientUnderTest {
  readonly name: string;
  /** The image's id (digest of its config). */
  pull(reference: string): Promise<string>;
  /** What was pulled as `from`; resolves to the digest of the manifest, as the client tells it. */
  push(from: string, to: string): Promise<string>;
  dispose(): void;
}

export function skopeoClient(): RegistryClientUnderTest {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-skopeo-'));
  const layouts = new Map<string, string>();
  return {
    name: 'skopeo',
    pull: async (reference) => {
      const layout = join(directory, String(layouts.size));
      mkdirSync(layout);
      layouts.set(reference, layout);
      await succeed('skopeo', 'copy', '--src-tls-verify=false', `docker://${reference}`, `dir:${layout}`);
      return (JSON.parse(readFileSync(join(layout, 'manifest.json'), 'utf8')) as { config: { digest: string } }).config.digest;
    },
    push: async (from, to) => {
      const layout = layouts.get(from);
      if (layout === undefined) throw new Error(`${from} was not pulled`);
      await succeed('skopeo', 'copy', '--dest-tls-verify=false', `dir:${layout}`, `docker://${to}`);
      return digestOf(readFileSync(join(layout, 'manifest.json')));
    },
    dispose: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Any engine behind the docker CLI. */
export function dockerClient(name: string, host: string): RegistryClientUnderTest {
  const docker = (...args: readonly string[]) => succeed('docker', '-H', host, ...args);
  return {
    name,
    pull: async (reference) => {
      await docker('pull', '-q', reference);
      return await docker('image', 'inspect', '--format', '{{.Id}}', reference);
    },
    push: async (from, to) => {
      await docker('tag', from, to);
      const said = await docker('push', to);
      return /digest: (sha256:[0-9a-f]{64})/.exec(said)?.[1] ?? said;
    },
    dispose: () => undefined,
  };
}

/** Our daemon over its API. */
export function gantryClient(host: string): RegistryClientUnderTest {
  return {
    ...dockerClient('gantry', host),
    pull: async (reference) => {
      const { error } = await pull(host, reference);
      assert.equal(error, null);
      return (await inspectImage(host, reference))?.Id ?? 'no such image';
    },
    push: async (from, to) => {
      await succeed('docker', '-H', host, 'tag', from, to);
      const { error, messages } = await push(host, to);
      assert.equal(error, null);
      return messages.find(({ aux }) => aux?.Digest !== undefined)?.aux?.Digest ?? JSON.stringify(messages);
    },
  };
}

export async function succeed(...argv: readonly [string, ...string[]]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(argv, { timeoutMs: 120_000 });
  assert.equal(status, 0, `${argv.join(' ')}: ${stderr}`);
  return stdout.trim();
}
