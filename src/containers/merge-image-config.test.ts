import assert from 'node:assert/strict';
import test from 'node:test';
import { defaultContainerConfig } from './config-defaults.ts';
import { mergeImageConfig } from './merge-image-config.ts';

const image = {
  Entrypoint: ['/init'],
  Cmd: ['serve'],
  Env: ['PATH=/bin', 'B=image'],
  User: 'app',
  WorkingDir: '/srv',
  StopSignal: 'SIGINT',
};

function commandOf(given: Parameters<typeof defaultContainerConfig>[0]): (string[] | null)[] {
  const { Entrypoint, Cmd } = mergeImageConfig(defaultContainerConfig(given), image);
  return [Entrypoint, Cmd];
}

test('mergeImageConfig: an entrypoint of one’s own discards the image’s command, `--entrypoint ""` both', () => {
  assert.deepEqual(commandOf({}), [['/init'], ['serve']]);
  assert.deepEqual(commandOf({ Cmd: ['x'] }), [['/init'], ['x']]);
  assert.deepEqual(commandOf({ Entrypoint: ['/own'] }), [['/own'], null]);
  assert.deepEqual(commandOf({ Entrypoint: ['/own'], Cmd: ['x'] }), [['/own'], ['x']]);
  assert.deepEqual(commandOf({ Entrypoint: [''], Cmd: ['x'] }), [null, ['x']]);
  assert.deepEqual(commandOf({ Entrypoint: [], Cmd: ['x'] }), [[], ['x']]);
});

test('mergeImageConfig: variables of the request first, then the image’s that it does not name', () => {
  const { Env } = mergeImageConfig(defaultContainerConfig({ Env: ['A=1', 'B', 'PATH=/x'] }), { ...image, Env: [...image.Env, 'C=3'] });
  assert.deepEqual(Env, ['A=1', 'B', 'PATH=/x', 'C=3']);
});

test('mergeImageConfig: the image fills in what the request leaves open', () => {
  const merged = mergeImageConfig(defaultContainerConfig({ User: '0', Labels: { b: '2' }, ExposedPorts: { '1/tcp': {} } }), {
    ...image,
    Labels: Object.fromEntries([
      ['a', '1'],
      ['b', 'image'],
      ['__proto__', 'kept'],
    ]),
    ExposedPorts: { '2/udp': {} },
    Healthcheck: { Test: ['CMD', 'true'], Retries: 2 },
  });
  assert.equal(merged.User, '0');
  assert.equal(merged.WorkingDir, '/srv');
  assert.equal(merged.StopSignal, 'SIGINT');
  assert.deepEqual(Object.entries(merged.Labels).sort(), [
    ['__proto__', 'kept'],
    ['a', '1'],
    ['b', '2'],
  ]);
  assert.deepEqual(Object.keys(merged.ExposedPorts ?? {}).sort(), ['1/tcp', '2/udp']);
  assert.deepEqual(merged.Healthcheck, { Test: ['CMD', 'true'], Retries: 2 });
});

test('SEC-15 mergeImageConfig: labels that the engine obeys are not inherited', () => {
  const labels = { a: 'image', b: 'image', 'gantry.ttl': '1s', 'gantry.lease': 'x' };
  const { Labels } = mergeImageConfig(defaultContainerConfig({ Labels: { b: 'own', 'gantry.ttl': '10m' } }), { ...image, Labels: labels });
  assert.deepEqual(Labels, { a: 'image', b: 'own', 'gantry.ttl': '10m' });
});
