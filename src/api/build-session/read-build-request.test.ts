import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBuildRequest } from './read-build-request.ts';

test('readBuildRequest fills in what is absent', () => {
  const request = readBuildRequest({ context: { kind: 'client', name: 'context' } });
  assert.match(request.id, /^[0-9a-f]{32}$/);
  assert.deepEqual(
    [request.context, request.namedContexts, request.noCache, request.epoch, request.call, request.outputs, request.run.network],
    [{ kind: 'client', name: 'context' }, new Map(), [], null, 'build', [], 'default'],
  );
});

test('readBuildRequest reads everything', () => {
  const request = readBuildRequest({
    id: 'b1',
    dockerfilePath: './sub/Dockerfile',
    context: { kind: 'git', url: 'https://h/p.git' },
    namedContexts: { base: { kind: 'image', reference: 'alpine' }, layout: { kind: 'oci-layout', name: 'l', reference: ':v1' } },
    platforms: [{ os: 'linux', architecture: 'arm', variant: 'v7' }],
    buildArguments: JSON.parse('{"__proto__": "kept", "A": ""}'),
    labels: { a: 'b' },
    noCache: 'all',
    pull: true,
    run: { network: 'none', extraHosts: ['h:1.2.3.4'], ulimits: [{ name: 'nofile', soft: 1, hard: 2 }], memorySwapBytes: -1 },
    entitlements: ['network.host'],
    outputs: [
      {
        type: 'image',
        names: ['x', 'x:latest'],
        compression: { kind: 'zstd', level: 3, force: true },
        annotations: { 'annotation.a': 'b' },
      },
    ],
    cacheFrom: [{ type: 'registry', reference: 'h/x', mode: 'max', ignoreErrors: true }],
    provenance: 'max',
    epoch: 0,
    call: 'check',
  });
  assert.equal(request.dockerfilePath, 'sub/Dockerfile');
  assert.deepEqual(
    [...request.buildArguments],
    [
      ['__proto__', 'kept'],
      ['A', ''],
    ],
  );
  assert.deepEqual(request.outputs[0]?.names, ['docker.io/library/x:latest']);
  assert.deepEqual([request.epoch, request.noCache, request.provenance, request.run.memorySwapBytes], [0, 'all', 'max', -1]);
});

test('SEC-18 requests that are wrong are refused by the name of the field, and nothing crashes', () => {
  const good = { context: { kind: 'empty' } };
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [null, /the body must be an object/],
    [[], /the body must be an object/],
    ['x', /the body must be an object/],
    [{}, /context must be an object/],
    [{ context: null }, /context must be an object/],
    [{ context: { kind: 'file', path: '/etc' } }, /context\.kind must be one of/],
    [{ context: { kind: 'client' } }, /context\.name must be a string/],
    [{ context: { kind: 'empty', extra: 1 } }, /context\.extra is not known/],
    [{ ...good, what: 1 }, /what is not known/],
    [{ ...good, id: '../x' }, /id must be/],
    [{ ...good, dockerfilePath: '../Dockerfile' }, /dockerfilePath must name a file in the context/],
    [{ ...good, target: 5 }, /target must be a string/],
    [{ ...good, target: 'a\0b' }, /target holds a NUL byte/],
    [{ ...good, platforms: [null] }, /platforms\[0\] must be an object/],
    [{ ...good, platforms: [{ os: 'linux', architecture: '' }] }, /platforms\[0\]\.os and architecture/],
    [{ ...good, buildArguments: { A: null } }, /buildArguments\.A must be a string/],
    [{ ...good, buildArguments: ['A'] }, /buildArguments must be an object/],
    [{ ...good, noCache: [3] }, /noCache\[0\] must be a string/],
    [{ ...good, run: { memoryBytes: -1 } }, /run\.memoryBytes must be 0 or more/],
    [{ ...good, run: { memoryBytes: 1.5 } }, /run\.memoryBytes must be a whole number/],
    [{ ...good, run: { shmSizeBytes: 1e300 } }, /run\.shmSizeBytes must be a whole number/],
    [{ ...good, run: { network: 'container:x' } }, /run\.network must be one of/],
    [{ ...good, run: { ulimits: [{ name: 'a', soft: 2, hard: 1 }] } }, /must not be more than hard/],
    [{ ...good, run: { extraHosts: ['x'] } }, /run\.extraHosts\[0\] must be NAME:ADDRESS/],
    [{ ...good, entitlements: ['all'] }, /entitlements\[0\] must be one of/],
    [{ ...good, outputs: [{ type: 'image', names: ['UPPER'] }] }, /reference|lower/],
    [{ ...good, outputs: [{ type: 'exe' }] }, /outputs\[0\]\.type must be one of/],
    [{ ...good, epoch: -5 }, /epoch must be 0 or more/],
    [{ ...good, epoch: 'then' }, /epoch must be a whole number/],
    [{ ...good, cacheTo: [{ type: 'local' }] }, /client must be given/],
    [{ ...good, squash: 'yes' }, /squash must be true or false/],
  ];
  for (const [body, pattern] of cases) {
    assert.throws(
      () => readBuildRequest(body),
      (error: Error & { code?: string }) => error.code === 'invalid' && pattern.test(error.message),
      JSON.stringify(body),
    );
  }
});
