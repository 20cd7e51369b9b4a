import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../../base/errors.ts';
import { checkCdiSpec, maximumSpecBytes, parseCdiSpec } from './parse-cdi-spec.ts';
import { printCdiSpec } from './print-cdi-spec.ts';

const file = '/etc/cdi/x.yaml';

const full = {
  cdiVersion: '1.1.0',
  kind: 'vendor.com/net-1.x',
  annotations: { 'org.mobyproject.buildkit.device.autoallow': 'true' },
  devices: [
    {
      name: '0:1',
      annotations: { class: 'big' },
      containerEdits: {
        env: ['A=b=c', 'EMPTY='],
        deviceNodes: [
          { path: '/dev/x', hostPath: '/dev/y', type: 'c', major: 195, minor: 0, fileMode: 0o660, permissions: 'rw', uid: 0, gid: 44 },
          { path: '/dev/z', permissions: 'none' },
        ],
        mounts: [{ hostPath: '/usr/lib/a.so', containerPath: '/usr/lib/a.so', options: ['ro', 'nosuid', 'bind'] }],
        hooks: [{ hookName: 'createContainer', path: '/bin/true', args: ['true', 'x'], env: ['D=1'], timeout: 5 }],
        additionalGids: [44],
        netDevices: [{ hostInterfaceName: 'eth9', name: 'rdma0' }],
        intelRdt: { closID: 'gold', l3CacheSchema: 'L3:0=f', schemata: ['MB:0=50'], enableMonitoring: true },
      },
    },
  ],
  containerEdits: { mounts: [{ hostPath: 'tmpfs', containerPath: '/scratch', type: 'tmpfs', options: ['size=1m'] }] },
};

const minimal = (change: object = {}): unknown => ({
  cdiVersion: '0.3.0',
  kind: 'vendor.com/class',
  devices: [{ name: 'a', containerEdits: { env: ['A=1'] } }],
  ...change,
});

const withEdits = (edits: object, cdiVersion = '1.1.0'): unknown => minimal({ cdiVersion, containerEdits: edits });

function problem(value: unknown): string {
  try {
    checkCdiSpec(value, file);
  } catch (error) {
    assert.ok(error instanceof EngineError && error.code === 'invalid', String(error));
    return error.message;
  }
  return 'no problem';
}

describe('parseCdiSpec', () => {
  it('reads every field, as JSON and as YAML, and prints what it reads', async () => {
    assert.deepEqual(await parseCdiSpec(JSON.stringify(full), file), full);
    for (const format of ['json', 'yaml'] as const) assert.deepEqual(await parseCdiSpec(await printCdiSpec(full, format), file), full);
  });

  it('takes the words of YAML as other readers of CDI do', async () => {
    const text = `
# a comment
cdiVersion: 0.5.0
kind: vendor.com/class
devices:
- name: 0
  containerEdits: &edits
    deviceNodes:
    - {path: /dev/x, fileMode: 0666, permissions: rw}
- name: all
  containerEdits: *edits
- name: 1:30
  containerEdits:
    ENV: [A=1]
containerEdits: ~
`;
    const { devices } = await parseCdiSpec(text, file);
    assert.deepEqual(
      devices.map(({ name }) => name),
      ['0', 'all', '1:30'],
    );
    assert.deepEqual(devices[1]?.containerEdits, { deviceNodes: [{ path: '/dev/x', fileMode: 0o666, permissions: 'rw' }] });
    assert.deepEqual(devices[2]?.containerEdits, { env: ['A=1'] });
  });

  it('says what is no document', async () => {
    const problems: readonly (readonly [string, RegExp])[] = [
      ['', /^\/etc\/cdi\/x\.yaml: it is empty/],
      ['  \n', /it is empty/],
      ['cdiVersion: 0.6.0\ncdiVersion: 0.6.0\n', /the key "cdiVersion" is there twice/],
      ['{"cdiVersion": "0.6.0", "kind": "a/b", "kind": "a/c"}', /the key "kind" is there twice/],
      ['a: [1', /^\/etc\/cdi\/x\.yaml: Flow sequence .* at line 1/],
      ['a: 1\n---\nb: 2', /multiple documents/],
      ['a: !ruby/object x', /Unresolved tag/],
      ['[1, 2]: 3', /a key is not a word/],
      ['just words', /must be an object with cdiVersion, kind, annotations, devices and containerEdits, not "just words"/],
      ['[]', /must be an object .* not a list/],
      [`a: ${'['.repeat(50_000)}`, /x\.yaml: it is nested too deeply at line 1/],
      [laughs(), /alias/],
      [' '.repeat(maximumSpecBytes + 1), /larger than 4 MiB/],
    ];
    for (const [text, expected] of problems) {
      await assert.rejects(parseCdiSpec(text, file), (error) => {
        assert.ok(error instanceof EngineError && error.code === 'invalid');
        assert.match(error.message, expected);
        assert.ok(!error.message.includes('\n'), error.message);
        return true;
      });
    }
  });

  it('names file and field', () => {
    const node = (change: object): unknown => withEdits({ deviceNodes: [{ path: '/dev/a' }, { path: '/dev/b', ...change }] });
    const at = `${file}: containerEdits.deviceNodes[1]`;
    assert.equal(problem(node({ path: 'dev/b' })), `${at}.path: "dev/b" must be absolute`);
    assert.equal(problem(node({ path: '/dev/../b' })), `${at}.path: "/dev/../b" must not climb with ".."`);
    assert.equal(problem(node({ path: '' })), `${at}.path: is missing: where the container sees the device node`);
    assert.equal(problem(node({ type: 'x' })), `${at}.type: "x" must be c (or u), b or p`);
    assert.equal(problem(node({ permissions: 'rx' })), `${at}.permissions: "rx" must be made of r, w and m, or be none`);
    assert.equal(problem(node({ major: -1 })), `${at}.major: must be a whole number from 0 to 4095, not -1`);
    assert.equal(problem(node({ hostpth: '/x' })), `${at}.hostpth: there is no such field: did you mean hostPath?`);
    assert.equal(problem(node({ hostPath: '/x', hostpath: '/x' })), `${at}.hostPath: is there twice, as hostpath too: remove one`);
    assert.equal(problem(withEdits({ env: ['=x'] })), `${file}: containerEdits.env[0]: "=x" must be NAME=VALUE`);
    assert.equal(problem(withEdits({ env: 'A=b' })), `${file}: containerEdits.env: must be a list, not "A=b"`);
    assert.match(
      problem(withEdits({ hooks: [{ hookName: 'createcontainer', path: '/x' }] })),
      /hooks\[0\]\.hookName: .* one of prestart, /,
    );
    assert.match(problem(withEdits({ hooks: [{ hookName: 'poststop', path: 'x' }] })), /hooks\[0\]\.path: "x" must be absolute/);
    assert.match(problem(withEdits({ hooks: [{ hookName: 'poststop', path: '/x', timeout: 0 }] })), /timeout: must be at least 1 second/);
    assert.match(problem(withEdits({ mounts: [{ containerPath: '/x' }] })), /mounts\[0\]\.hostPath: is missing: what of the host/);
    assert.match(problem(withEdits({ mounts: [{ hostPath: 'x', containerPath: '/x' }] })), /hostPath: "x" must be absolute/);
    assert.match(problem(withEdits({ intelRdt: { closID: 'a/b' } })), /intelRdt\.closID: /);
    assert.match(problem(withEdits({ intelRdt: { enableCMT: true } })), /enableCMT: is no field of cdiVersion 1\.1\.0 any more/);
    assert.match(
      problem(withEdits({ netDevices: [{ hostInterfaceName: 'a/b', name: 'c' }] })),
      /hostInterfaceName: .* no name of a network/,
    );
    const twice = [
      { hostInterfaceName: 'a', name: 'c' },
      { hostInterfaceName: 'b', name: 'c' },
    ];
    assert.equal(problem(withEdits({ netDevices: twice })), `${file}: containerEdits.netDevices[1].name: "c" is there twice`);
    assert.match(problem(withEdits({ additionalGids: [-1] })), /additionalGids\[0\]: must be a whole number/);
    assert.match(problem(minimal({ kind: 'vendor' })), /kind: "vendor" must be vendor\.com\/class/);
    assert.match(problem(minimal({ kind: '1vendor/x' })), /kind: the vendor "1vendor" may have/);
    assert.match(problem(minimal({ kind: 'vendor/x/y' })), /kind: the class "x\/y" may have/);
    assert.match(problem(minimal({ devices: [] })), /devices: is missing: a description has at least one device/);
    assert.match(problem(minimal({ devices: [{ name: 'a' }] })), /devices\[0\]\.containerEdits: is missing or empty/);
    assert.match(problem(minimal({ devices: [{ name: 'a b', containerEdits: { env: ['A=1'] } }] })), /devices\[0\]\.name: "a b" may have/);
    const device = { name: 'a', containerEdits: { env: ['A=1'] } };
    assert.equal(
      problem(minimal({ devices: [device, device] })),
      `${file}: devices[1].name: "a" is devices[0] too: give each its own name`,
    );
    assert.match(
      problem(minimal({ cdiVersion: '0.6.0', annotations: { 'a/b/c': 'x' } })),
      /annotations\.a\/b\/c: the name of an annotation/,
    );
    assert.match(problem(minimal({ cdiVersion: '0.6.0', annotations: { a: { b: 1 } } })), /annotations\.a: must be text, not an object/);
  });

  it('wants the version that a field came with', () => {
    const node = { path: '/dev/x', hostPath: '/dev/y' };
    const device = (name: string): object => ({ devices: [{ name, containerEdits: { env: ['A=1'] } }] });
    const needed: readonly (readonly [object, string, string, string])[] = [
      [{ containerEdits: { mounts: [{ hostPath: '/x', containerPath: '/x', type: 'none' }] } }, '0.3.0', '0.4.0', 'mounts[0].type'],
      [{ containerEdits: { deviceNodes: [node] } }, '0.4.0', '0.5.0', 'deviceNodes[0].hostPath'],
      [device('0'), '0.4.0', '0.5.0', 'devices[0].name'],
      [{ annotations: { a: 'b' } }, '0.5.0', '0.6.0', 'annotations'],
      [{ kind: 'vendor.com/a.b' }, '0.5.0', '0.6.0', 'kind'],
      [{ containerEdits: { additionalGids: [1] } }, '0.6.0', '0.7.0', 'additionalGids'],
      [{ containerEdits: { intelRdt: { closID: 'a' } } }, '0.6.0', '0.7.0', 'intelRdt'],
      [{ containerEdits: { intelRdt: { schemata: ['x'] } } }, '1.0.0', '1.1.0', 'intelRdt.schemata'],
      [{ containerEdits: { netDevices: [{ hostInterfaceName: 'a', name: 'b' }] } }, '1.0.0', '1.1.0', 'netDevices'],
    ];
    for (const [change, older, version, field] of needed) {
      const text = problem(minimal({ cdiVersion: older, ...change }));
      assert.ok(text.endsWith(`${field}: needs cdiVersion ${version} and the file says ${older}: raise its cdiVersion`), text);
      assert.equal(problem(minimal({ cdiVersion: version, ...change })), 'no problem');
      assert.equal(problem(minimal({ cdiVersion: `v${version}`, ...change })), 'no problem');
    }
    assert.match(
      problem(minimal({ cdiVersion: '1.2.0' })),
      /cdiVersion: "1\.2\.0" is no version that can be read: versions are 0\.3\.0 to 1\.1\.0/,
    );
    assert.match(problem(minimal({ cdiVersion: '0.2.0' })), /no version that can be read/);
    assert.match(problem({ kind: 'a/b' }), /cdiVersion: is missing/);
  });

  it('never throws anything but a wrong description', async () => {
    const names = [
      'cdiVersion',
      'kind',
      'devices',
      'name',
      'containerEdits',
      'deviceNodes',
      'path',
      'mounts',
      'env',
      'hooks',
      'intelRdt',
      '__proto__',
    ];
    const leaf = fc.oneof(fc.string(), fc.constantFrom('1.1.0', 'a/b', '/dev/x', 'A=b', null, true, -1, 1.5, 7));
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), tie('tree'), { maxKeys: 5 }),
      ),
    }));
    const isFine = async (text: string): Promise<boolean> => {
      try {
        await parseCdiSpec(text, file);
        return true;
      } catch (error) {
        return error instanceof EngineError && error.code === 'invalid' && error.message.startsWith(`${file}: `);
      }
    };
    const start = '{"cdiVersion":"1.1.0","kind":"a/b","devices":[{"name":"a","containerEdits":';
    await fc.assert(
      fc.asyncProperty(
        tree,
        async (value) => (await isFine(JSON.stringify(value))) && (await isFine(`${start}${JSON.stringify(value)}}]}`)),
      ),
      { numRuns: 150 },
    );
    const yaml = fc.array(
      fc.constantFrom('a', ': ', '\n', '  ', '- ', '&x ', '*x', '[', ']', '{', '}', '"', "'", '|', '!', '?', ',', '<<', '#', '\t', '\0'),
    );
    await fc.assert(
      fc.asyncProperty(yaml, (parts) => isFine(parts.join(''))),
      { numRuns: 150 },
    );
  });
});

/** Nine aliases of nine aliases, and so on: 9^9 words from one KiB. */
function laughs(): string {
  const lines = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (let index = 1; index < 9; index++) {
    const [from, to] = ['abcdefghi'[index - 1], 'abcdefghi'[index]];
    lines.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(', ')}]`);
  }
  return lines.join('\n');
}
