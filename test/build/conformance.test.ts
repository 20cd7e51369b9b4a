/**
 * The conformance set of the Dockerfile language (shared/dockerfile.md section 11) against the daemon: built over `POST /build`, then files, config and history are looked at.
 * Needs root and busybox-static.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { type BuildAnswer, type BuiltImage, build, type ContextFiles, savedImages, tarGzOf, tarOf } from './built-images.ts';
import { Built, conformanceCases } from './conformance-cases.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

const context: ContextFiles = {
  f: 'F\n',
  'x.sh': { content: '#!/bin/sh\n', mode: 0o755 },
  'd/': {},
  'd/a': { content: 'A\n', mode: 0o600 },
  'd/b/': {},
  'd/b/c': 'C\n',
  'd/l': { type: 'symbolic-link', linkTarget: 'a' },
  ln: { type: 'symbolic-link', linkTarget: 'f' },
  ld: { type: 'symbolic-link', linkTarget: 'd' },
  't.tar.gz': await tarGzOf({ 'in.txt': { content: 'in\n', uid: 1000, gid: 1000 } }),
};

suite('the conformance set', { skip }, () => {
  let daemon: GantryDaemon;
  const answers = new Map<string, BuildAnswer>();
  let images: ReadonlyMap<string, BuiltImage>;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    const waiting = [...conformanceCases];
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        answers.set(next.id, await build(daemon.host, await tarOf({ ...context, Dockerfile: next.dockerfile }), next.query));
    };
    await Promise.all([worker(), worker(), worker()]);
    images = await savedImages(
      daemon.host,
      [...answers.values()].flatMap(({ imageId }) => imageId ?? []),
    );
  });

  after(() => daemon?.dispose());

  for (const { id, dockerfile, error, warnings = [], check } of conformanceCases) {
    test(`case ${id}: ${JSON.stringify(dockerfile)}`, () => {
      const answer = answers.get(id);
      assert.ok(answer);
      if (error !== undefined) {
        assert.ok(answer.error?.includes(error), `expected an error with ${error}, got ${answer.error ?? 'an image'}`);
        return;
      }
      assert.equal(answer.error, null);
      const image = images.get(answer.imageId ?? '');
      assert.ok(image, 'the image is not there');
      const told = [...answer.output.matchAll(/^\[Warning\] (\w+):/gm)].map(([, rule]) => rule ?? '');
      assert.deepEqual([...new Set(told)].sort(), [...warnings].sort(), 'warnings');
      check?.(new Built(image, answer.output));
    });
  }

  test('case 60: a touched file is the same, its mode and arguments of RUN count', async () => {
    const dockerfile = 'FROM busybox\nARG A\nCOPY f /\nRUN date +%N >/t\n';
    const run = async (file: ContextFiles[string], buildargs = {}) => {
      const tar = await tarOf({ ...context, f: file, Dockerfile: dockerfile });
      const { output, error } = await build(daemon.host, tar, { buildargs: JSON.stringify(buildargs) });
      assert.equal(error, null);
      const [copy = '', command = ''] = output.split(/^Step \d\/4 : /m).slice(3);
      return [copy.includes('Using cache'), command.includes('Using cache')];
    };
    assert.deepEqual(await run('sixty\n'), [false, false]);
    const touched = { content: 'sixty\n', modifiedAt: { seconds: 1_800_000_000, nanoseconds: 5 } };
    assert.deepEqual(await run(touched), [true, true], 'after touch');
    assert.deepEqual(await run({ content: 'sixty\n', mode: 0o755 }), [false, false], 'after chmod');
    assert.deepEqual(await run('sixty\n', { A: '2' }), [true, false], 'with another argument');
  });

  test('steps of stages that run side by side are told one after the other', async () => {
    const loop = (word: string) => `RUN for i in 1 2 3; do echo ${word}$i; sleep 0.1; done; touch /${word}\n`;
    const dockerfile = `FROM busybox AS one\n${loop('one')}FROM busybox AS two\n${loop('two')}FROM busybox\nCOPY --from=one /one /\nCOPY --from=two /two /\n`;
    const { output } = await build(daemon.host, await tarOf({ Dockerfile: dockerfile }));
    const printed = output.split('\n').filter((line) => /^(one|two)\d$|^Step/.test(line));
    assert.deepEqual(
      printed.map((line) => line.replace(/^Step (\d)\/7 .*/, '$1')),
      ['1', '2', 'one1', 'one2', 'one3', '3', '4', 'two1', 'two2', 'two3', '5', '6', '7'],
    );
  });
});
