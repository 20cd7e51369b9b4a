import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../cli-error.ts';
import { parseFlags } from './flag-parser.ts';
import { defineFlags } from './flag-spec.ts';

const specs = defineFlags(`
  -e, --env list       Set environment variables
  -i, --interactive    Keep STDIN open
  -t, --tty            Allocate a terminal
      --rm             Remove it
  -n, --count int      How many (default -1)
      --name string    Name
      --sig-proxy      Pass signals on (default true)
      !--old string    Hidden
`);

function parse(line: string, interspersed = false) {
  return parseFlags(line.split(' '), specs, interspersed);
}

describe('parseFlags', () => {
  it('reads groups of short flags, the last of them with its value', () => {
    const { flags, args } = parse('-it -eA=1 -e=B=2 -e C=3 -ite D=4 image');
    assert.deepEqual(
      [flags.bool('interactive'), flags.bool('tty'), flags.list('env'), args],
      [true, true, ['A=1', 'B=2', 'C=3', 'D=4'], ['image']],
    );
  });

  it('reads long flags with and without equals sign; the last of several counts', () => {
    const { flags } = parse('--name a --name=b --rm=false --sig-proxy=0 --count=5 image');
    assert.deepEqual([flags.string('name'), flags.bool('rm'), flags.bool('sig-proxy'), flags.int('count')], ['b', false, false, 5]);
  });

  it('gives defaults and tells what was given', () => {
    const { flags } = parse('image');
    assert.deepEqual(
      [flags.bool('sig-proxy'), flags.int('count'), flags.string('name'), flags.has('name'), flags.list('env')],
      [true, -1, '', false, []],
    );
  });

  it('leaves everything behind the first argument alone', () => {
    assert.deepEqual(parse('--rm image -it --name x').args, ['image', '-it', '--name', 'x']);
    assert.deepEqual(parse('-- --rm image').args, ['--rm', 'image']);
  });

  it('finds flags between arguments where the command allows it', () => {
    const { flags, args } = parse('a --rm b -- --tty', true);
    assert.deepEqual([flags.bool('rm'), args], [true, ['a', 'b', '--tty']]);
  });

  it('takes a lone dash and negative-looking values', () => {
    const { flags, args } = parse('-n -5 -', true);
    assert.deepEqual([flags.int('count'), args], [-5, ['-']]);
  });

  const complaints: readonly (readonly [string, RegExp])[] = [
    ['--namee x', /^unknown flag: --namee. Did you mean --name\?$/],
    ['--zzz', /^unknown flag: --zzz$/],
    ['-x', /^unknown shorthand flag: 'x' in -x$/],
    ['-itz', /^unknown shorthand flag: 'z' in -itz$/],
    ['--name', /^flag needs an argument: --name$/],
    ['-ie', /^flag needs an argument: 'e' in -ie$/],
    ['--rm=maybe', /^invalid argument "maybe" for "--rm" flag: strconv.ParseBool: parsing "maybe": invalid syntax$/],
    ['-n x', /^invalid argument "x" for "-n, --count" flag: strconv.ParseInt: parsing "x": invalid syntax$/],
    ['--=x', /^bad flag syntax: --=x$/],
  ];
  for (const [line, message] of complaints) {
    it(`refuses ${line}`, () => {
      assert.throws(
        () => parse(line),
        (error: unknown) => error instanceof UsageError && error.exitCode === 125 && message.test(error.message),
      );
    });
  }

  it('asks for help', () => {
    assert.equal(parse('--help').helpWanted, true);
    assert.equal(parse('-ith').helpWanted, true);
  });

  it('reads back what was written, whatever the values', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.string(), fc.array(fc.string()), (env, name, args) => {
        const words = [...env.flatMap((value) => ['-e', value]), `--name=${name}`, '--', ...args];
        const parsed = parseFlags(words, specs, false);
        assert.deepEqual([parsed.flags.list('env'), parsed.flags.string('name'), parsed.args], [env, name, args]);
      }),
    );
  });

  it('never fails but with a usage error', () => {
    const word = fc.oneof(fc.string(), fc.constantFrom('-', '--', '-e', '--name', '--rm=', '-it', '---x', '--=', '-=', '-e='));
    fc.assert(
      fc.property(fc.array(word), fc.boolean(), (words, interspersed) => {
        try {
          parseFlags(words, specs, interspersed);
        } catch (error) {
          assert.ok(error instanceof UsageError, String(error));
        }
      }),
    );
  });
});
