import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseToolFlags } from '../tool-flags.ts';
import { type CopyVerb, copyFlags, readCopyRequest } from './copy-options.ts';

function read(verb: CopyVerb, ...argv: readonly string[]) {
  const flags = parseToolFlags(argv, copyFlags, `gantry registry ${verb}`, 2);
  assert.ok(flags);
  return readCopyRequest(verb, flags);
}

const digest = `sha256:${'a'.repeat(64)}`;

test('readCopyRequest: names, digests and directories on either side', () => {
  assert.deepEqual(read('copy', 'busybox:1.36', 'localhost:5000/x').source, {
    kind: 'registry',
    repository: { domain: 'docker.io', path: 'library/busybox' },
    tag: '1.36',
    digest: null,
  });
  assert.deepEqual(read('copy', `oci:/srv/a:b/c@${digest}`, 'localhost:5000/x').source, {
    kind: 'layout',
    directory: '/srv/a:b/c',
    tag: null,
    digest,
  });
  assert.deepEqual(read('copy', 'busybox', 'oci:./out:v1').destination, { kind: 'layout', directory: './out', tag: 'v1', digest: null });
  assert.deepEqual(read('export', 'busybox', 'out').destination, { kind: 'layout', directory: 'out', tag: null, digest: null });
  assert.deepEqual(read('import', 'oci:out:v1', 'a.example/x').source, { kind: 'layout', directory: 'out', tag: 'v1', digest: null });
  const all = read(
    'copy',
    '--all-tags',
    '--referrers',
    '--platform=linux/arm64',
    '--parallel',
    '9',
    '--insecure-registry',
    'h:1',
    'a',
    'b.example/c',
  );
  const { allTags, referrers, platform, parallel, insecureRegistries } = all;
  assert.deepEqual(
    [allTags, referrers, platform, parallel, insecureRegistries],
    [true, true, { os: 'linux', architecture: 'arm64' }, 9, ['h:1']],
  );
});

test('readCopyRequest: refuses what means nothing', () => {
  const refused: readonly (readonly [CopyVerb, readonly string[], RegExp])[] = [
    ['copy', ['a'], /two arguments are needed/],
    ['copy', ['a', `b.example/c@${digest}`], /the destination cannot have a digest/],
    ['copy', ['--all-tags', 'a:1', 'b.example/c'], /give both places without a tag/],
    ['copy', ['a', 'oci:'], /names no directory/],
    ['copy', ['--parallel=0', 'a', 'b'], /invalid value for --parallel/],
    ['copy', ['A B', 'b'], /invalid reference format/],
    ['export', ['oci:x', 'y'], /is a directory already/],
    ['import', ['x', 'oci:y'], /is a directory: import goes to a registry/],
  ];
  for (const [verb, argv, text] of refused) assert.throws(() => read(verb, ...argv), text, argv.join(' '));
});
