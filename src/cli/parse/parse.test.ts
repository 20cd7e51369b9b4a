import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseByteSize } from '../../base/byte-size.ts';
import { csvFields } from '../../base/csv-fields.ts';
import { parseGoDuration } from '../../base/parse-go-duration.ts';
import { parseCpus } from './byte-size.ts';
import { parseDevice, parseGpus, parseUlimit } from './device-options.ts';
import { collectEnvironment, collectLabels } from './environment.ts';
import { parseMoment } from './moment.ts';
import { parseMountOption } from './mount-option.ts';
import { planPorts } from './port-option.ts';
import { parseRestartPolicy } from './restart-policy.ts';

function refuses(parse: () => unknown, message: RegExp): void {
  assert.throws(parse, (error: unknown) => error instanceof Error && message.test(error.message));
}

describe('parseByteSize', () => {
  const cases: readonly (readonly [string, number])[] = [
    ['32', 32],
    ['32b', 32],
    ['32k', 32768],
    ['32KiB', 32768],
    ['1.5g', 1610612736],
    ['512 m', 536870912],
    ['0', 0],
    ['1t', 1024 ** 4],
  ];
  for (const [text, bytes] of cases) it(text, () => assert.equal(parseByteSize(text), bytes));
  for (const text of ['', 'abc', '-1', '1.2.3', '1 2', 'k'])
    it(`refuses "${text}"`, () => refuses(() => parseByteSize(text), /invalid size/));
  it('refuses "1x"', () => refuses(() => parseByteSize('1x'), /invalid suffix: 'x'/));
  it('reads any whole number of bytes', () => fc.assert(fc.property(fc.nat(), (bytes) => parseByteSize(String(bytes)) === bytes)));
});

describe('parseCpus', () => {
  it('counts in billionths', () => assert.deepEqual(['1.5', '0.001', '2', '1/2', '.5'].map(parseCpus), [1.5e9, 1e6, 2e9, 5e8, 5e8]));
  it('refuses what is no number or too precise', () => {
    refuses(() => parseCpus('x'), /failed to parse x as a rational number/);
    refuses(() => parseCpus('0.00000000001'), /too precise/);
  });
});

describe('parseGoDuration', () => {
  it('adds its parts up', () =>
    assert.deepEqual(
      ['1h30m', '500ms', '1.5s', '-2m', '0', '1us', '1µs'].map(parseGoDuration),
      [5400e9, 5e8, 15e8, -120e9, 0, 1000, 1000],
    ));
  it('names what is wrong', () => {
    refuses(() => parseGoDuration('3'), /missing unit in duration "3"/);
    refuses(() => parseGoDuration('3x'), /unknown unit "x" in duration "3x"/);
    refuses(() => parseGoDuration(''), /invalid duration ""/);
    refuses(() => parseGoDuration('s'), /invalid duration "s"/);
  });
});

describe('parseMoment', () => {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5);
  it('reads spans before now, Unix seconds and RFC 3339', () => {
    assert.equal(parseMoment('10m', now), `${now / 1000 - 600}.000000000`);
    assert.equal(parseMoment('1700000000.5', now), '1700000000.5');
    assert.equal(parseMoment('2026-01-02T03:04:05.000000006Z', now), `${now / 1000}.000000006`);
    assert.equal(parseMoment('2026-01-02T03:04:05+01:00', now), `${now / 1000 - 3600}.000000000`);
    assert.equal(parseMoment('', now), '');
  });
  it('refuses the rest', () => {
    refuses(() => parseMoment('yesterday', now), /failed to parse value as time or duration: "yesterday"/);
    refuses(() => parseMoment('2026-13-40', now), /no such day/);
  });
});

describe('csvFields', () => {
  it('reads quoted fields', () => assert.deepEqual(csvFields('a,"b,c",d""'.replace('d""', 'd')), ['a', 'b,c', 'd']));
  it('reads back any fields', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (fields) =>
        assert.deepEqual(csvFields(fields.map((field) => `"${field.replaceAll('"', '""')}"`).join(',')), fields),
      ),
    );
  });
});

describe('owners of a mount', () => {
  const mapOf = (text: string) => {
    const { BindOptions, VolumeOptions } = parseMountOption(text);
    return BindOptions?.Idmap ?? VolumeOptions?.Idmap;
  };
  it('uid and gid', () => assert.equal(mapOf('type=bind,src=/a,dst=/b,uid=1000,gid=50'), 'owner=1000:50'));
  it('uid alone takes the group along, wherever it stands', () => assert.equal(mapOf('uid=1000,src=v,dst=/b'), 'owner=1000:1000'));
  it('a map of its own', () => assert.equal(mapOf('src=v,dst=/b,idmap=uids=0-1000-1;gids=0-1000-1'), 'uids=0-1000-1;gids=0-1000-1'));
  const complaints: readonly (readonly [string, RegExp])[] = [
    ['src=v,dst=/b,gid=5', /gid needs uid/],
    ['src=v,dst=/b,uid=x', /invalid value for uid: x/],
    ['src=v,dst=/b,uid=4294967296', /invalid value for uid/],
    ['src=v,dst=/b,idmap=', /idmap is empty/],
    ['src=v,dst=/b,idmap=uids=0-1-1,uid=5', /leave uid and gid out/],
    ['type=tmpfs,dst=/b,uid=5', /for mounts of type bind and volume, not 'tmpfs'/],
  ];
  for (const [text, message] of complaints) it(`refuses "${text}"`, () => refuses(() => parseMountOption(text), message));
});

describe('parseMountOption', () => {
  const complaints: readonly (readonly [string, RegExp])[] = [
    ['', /^EOF$/],
    [' ', /value is empty/],
    ['type=bind', /target is required/],
    ['type=bind,src=/a,dst=/b,bogus', /invalid field 'bogus' must be a key=value pair/],
    ['type=bind,src=/a,dst=/b,bogus=1', /unexpected key 'bogus' in 'bogus=1'/],
    ['type=tmpfs,dst=/b,volume-nocopy', /cannot mix 'volume-\*' options with mount type 'tmpfs'/],
    ['type=tmpfs,dst=/b,tmpfs-size=x', /invalid value for tmpfs-size: x/],
    ['type=bind,src=/a,dst=/b,ro=perhaps', /invalid value for ro: perhaps/],
    ['type=bind,src=/a,dst=/b,bind-recursive=x', /invalid value for bind-recursive/],
    ['type=bind,src=/a,dst=/b,bind-recursive=readonly', /requires 'readonly'/],
    ['type=volume,dst=/b,__proto__=1', /unexpected key '__proto__'/],
  ];
  for (const [text, message] of complaints) it(`refuses "${text}"`, () => refuses(() => parseMountOption(text), message));
});

describe('planPorts', () => {
  for (const text of ['x', '', '80:', '99999', '1-2:1-5', '80/foo', '1.2.3.400:1:2', '5-4', 'foo=bar'])
    it(`refuses "${text}"`, () => refuses(() => planPorts([text], []), /./));
  it('refuses a host port in --expose', () => refuses(() => planPorts([], ['80:80']), /invalid port format for --expose: 80:80/));
});

describe('devices and limits', () => {
  it('parseDevice fills in what is not said', () => {
    assert.deepEqual(parseDevice('/dev/a'), { PathOnHost: '/dev/a', PathInContainer: '/dev/a', CgroupPermissions: 'rwm' });
    assert.deepEqual(parseDevice('/dev/a:rw'), { PathOnHost: '/dev/a', PathInContainer: '/dev/a', CgroupPermissions: 'rw' });
    refuses(() => parseDevice('/dev/a:/dev/b:x'), /bad mode specified: x/);
    refuses(() => parseDevice('a:b:r:x'), /bad format for path: a:b:r:x/);
  });
  it('parseUlimit wants soft below hard', () => {
    refuses(() => parseUlimit('nofile=20:10'), /soft limit must be less than or equal to hard limit: 20 > 10/);
    refuses(() => parseUlimit('bogus=1'), /invalid ulimit type: bogus/);
    refuses(() => parseUlimit('nofile'), /invalid ulimit argument/);
  });
  it('parseGpus refuses doubles and unknown keys', () => {
    refuses(() => parseGpus('count=1,count=2'), /can be specified only once/);
    refuses(() => parseGpus('bogus=1'), /unexpected key 'bogus' in 'bogus=1'/);
    refuses(() => parseGpus('1,count=1'), /gpu request key 'count' can be specified only once/);
    refuses(() => parseGpus('1_0'), /invalid count \(1_0\): value must be either "all" or an integer: invalid syntax/);
    refuses(() => parseGpus('9223372036854775808'), /value out of range/);
    refuses(() => parseGpus('options='), /failed to read gpu options: EOF/);
  });
  it('parseGpus knows one word beyond Docker: exclusive', () => {
    const asked = (text: string) => {
      const { Count, DeviceIDs, Options } = parseGpus(text);
      return [Count, DeviceIDs, { ...Options }];
    };
    assert.deepEqual(asked('1,exclusive'), [1, null, { exclusive: 'true' }]);
    assert.deepEqual(asked('exclusive'), [1, null, { exclusive: 'true' }]);
    assert.deepEqual(asked('all,exclusive'), [-1, null, { exclusive: 'true' }]);
    assert.deepEqual(asked('exclusive,device=0'), [0, ['0'], { exclusive: 'true' }]);
    assert.deepEqual(asked('"device=0,2",options=a=b,exclusive'), [0, ['0', '2'], { a: 'b', exclusive: 'true' }]);
    assert.deepEqual(asked('1,options=exclusive=true'), [1, null, { exclusive: 'true' }]);
    refuses(() => parseGpus('exclusive,exclusive'), /gpu request key 'exclusive' can be specified only once/);
  });
  it('parseRestartPolicy wants a number', () => refuses(() => parseRestartPolicy('on-failure:x'), /must be an integer/));
});

describe('environment and labels', () => {
  const folder = mkdtempSync(`${tmpdir()}/gantry-parse-`);
  const file = `${folder}/env`;
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

  it('takes values of our own environment, and keeps a bare name that we lack', () => {
    assert.deepEqual(collectEnvironment([], ['A=1', 'HAVE', 'LACK', 'E='], { HAVE: 'yes' }), ['A=1', 'HAVE=yes', 'LACK', 'E=']);
  });
  it('reads files before the command line, without comments and absent names', () => {
    writeFileSync(file, '\uFEFF# c\n\n A=x y \r\nHAVE\nLACK\n');
    assert.deepEqual(collectEnvironment([file], ['B=2'], { HAVE: 'yes' }), ['A=x y ', 'HAVE=yes', 'B=2']);
  });
  it('refuses names with white space and lines without a name', () => {
    writeFileSync(file, 'A B=1\n');
    refuses(() => collectEnvironment([file], [], {}), /variable 'A B' contains whitespaces/);
    writeFileSync(file, '=1\n');
    refuses(() => collectEnvironment([file], [], {}), /no variable name on line '=1'/);
  });
  it('keeps a label called __proto__', () => {
    assert.deepEqual(Object.entries(collectLabels([], ['__proto__=x', 'b'])), [
      ['__proto__', 'x'],
      ['b', ''],
    ]);
  });
});
