import assert from 'node:assert/strict';
import test from 'node:test';
import { logPlan, mergeLogConfig } from './log-config.ts';

const plan = (Type: string, Config: Record<string, string> = {}) => logPlan({ Type, Config });

test('mergeLogConfig: options of the daemon go with its driver only', () => {
  const daemon = { Type: 'local', Config: { 'max-size': '5m', compress: 'false' } };
  assert.deepEqual(mergeLogConfig({ Type: '', Config: {} }, daemon), daemon);
  assert.deepEqual(mergeLogConfig({ Type: 'local', Config: { 'max-size': '1m' } }, daemon).Config, { 'max-size': '1m', compress: 'false' });
  assert.deepEqual(mergeLogConfig({ Type: 'json-file', Config: {} }, daemon), { Type: 'json-file', Config: {} });
});

test('logPlan: what is kept on disk', () => {
  assert.deepEqual(plan('').spool, { maxSizeBytes: 10_000_000, maxFiles: 3, compress: false });
  assert.deepEqual(plan('json-file', { 'max-size': '1.5k', 'max-file': '7', compress: 'true' }).spool, {
    maxSizeBytes: 1500,
    maxFiles: 7,
    compress: true,
  });
  assert.equal(plan('json-file', { 'max-size': '-1' }).spool?.maxSizeBytes, 0);
  assert.deepEqual(plan('local').spool, { maxSizeBytes: 20_000_000, maxFiles: 5, compress: true });
  assert.equal(plan('none').spool, null);
  const syslog = plan('syslog', { 'cache-max-size': '1m', 'cache-max-file': '2' });
  assert.deepEqual(syslog.spool, { maxSizeBytes: 1_000_000, maxFiles: 2, compress: true });
  assert.deepEqual([syslog.readable, plan('syslog', { 'cache-disabled': 'true' }).readable, plan('none').readable], [true, false, false]);
});

test('logPlan: wrong options in Docker’s words', () => {
  const refuses = (type: string, config: Record<string, string>, message: string) => assert.throws(() => plan(type, config), { message });
  const failed = (text: string) => `failed to initialize logging driver: ${text}`;
  refuses('json-file', { foo: '1' }, "unknown log opt 'foo' for json-file log driver");
  refuses('json-file', { 'max-size': 'x' }, failed("invalid size: 'x'"));
  refuses('json-file', { 'max-size': '0' }, failed('max-size must be a positive number'));
  refuses('json-file', { 'max-file': '0' }, failed('max-file cannot be less than 1'));
  refuses('json-file', { 'max-file': 'x' }, failed('strconv.Atoi: parsing "x": invalid syntax'));
  refuses('json-file', { compress: 'maybe' }, failed('strconv.ParseBool: parsing "maybe": invalid syntax'));
  refuses(
    'json-file',
    { compress: 'true', 'max-file': '1' },
    failed('compress cannot be true when max-file is less than 2 or max-size is not set'),
  );
  refuses('json-file', { tag: '{{.Foo' }, failed('template: log-tag:1: unclosed action'));
  refuses('json-file', { mode: 'odd' }, 'logger: logging mode not supported: odd');
  refuses('json-file', { 'max-buffer-size': '1m' }, "logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  refuses('json-file', { mode: 'non-blocking', 'max-buffer-size': 'zz' }, "error parsing option max-buffer-size: invalid size: 'zz'");
  refuses('json-file', { 'cache-disabled': 'zz' }, 'invalid value for option cache-disabled: zz');
  refuses('local', { foo: '1' }, "unknown log opt 'foo' for log driver local");
  refuses('local', { 'max-size': 'x' }, failed("invalid value for max-size: x: invalid size: 'x'"));
  refuses('local', { 'max-file': '1' }, failed('compression cannot be enabled when max file count is 1'));
  refuses('local', { compress: 'zz' }, failed('error reading compress log option: strconv.ParseBool: parsing "zz": invalid syntax'));
  refuses('odd', {}, 'error looking up logging plugin odd: plugin "odd" not found');
  assert.throws(() => plan('awslogs'), { code: 'not-implemented', message: /log driver awslogs is not supported/ });
});
