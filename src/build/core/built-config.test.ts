import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DiffId } from '../../base/brand.ts';
import { encodeImageConfig, type ImageHistory, parseImageConfig } from '../../oci/image-config.ts';
import type { StageResult } from '../plan/build-plan.ts';
import { treeOf } from '../tree.ts';
import { builtConfig } from './built-config.ts';

const layer = (digit: string) => ({ diffId: `sha256:${digit.repeat(64)}` as DiffId, directory: digit, sizeBytes: 0 });

function stageOn(history: readonly ImageHistory[], config: StageResult['config'] = {}): StageResult {
  const layers = [layer('1'), layer('2')];
  const base = {
    reference: 'base',
    config: {
      os: 'linux',
      architecture: 'arm64',
      variant: 'v8',
      config: {},
      rootfs: { type: 'layers' as const, diff_ids: layers.map(({ diffId }) => diffId) },
      history,
    },
    layers,
    descriptors: [],
  };
  const own = [
    { createdBy: 'RUN x', empty: false },
    { createdBy: 'ENV A=1', empty: true },
  ];
  return {
    root: { kind: 'scratch' },
    config,
    author: null,
    platform: { os: 'linux', architecture: 'amd64' },
    epoch: 86_400,
    base,
    history: own,
  };
}

const tree = treeOf(['1', '2', '3'].map(layer));
const labels = new Map<string, string>();

test('builtConfig: as many entries of history with a layer as there are layers, whatever the base says', () => {
  const withLayers = (history: readonly ImageHistory[]) =>
    builtConfig({ stage: stageOn(history), tree, labels, squashed: false }).history.map(({ empty_layer }) => empty_layer !== true);
  assert.deepEqual(withLayers([{ created_by: 'a' }, { created_by: 'b' }]), [true, true, true, false]);
  assert.deepEqual(withLayers([]), [true, true, true, false]);
  assert.deepEqual(withLayers([{ created_by: 'a' }, { created_by: 'b' }, { created_by: 'c' }]), [true, true, false, true, false]);
  const squashed = builtConfig({ stage: stageOn([{}, {}]), tree, labels, squashed: true }).history;
  assert.deepEqual(
    squashed.map(({ empty_layer }) => empty_layer !== true),
    [true, true, false, false, true],
  );
});

test('builtConfig: one time, fields in one order, labels of the request last, names that JavaScript has a meaning for', () => {
  const config = { Labels: JSON.parse('{"b":"1","a":"1","__proto__":"2"}'), User: '', Cmd: ['x'], Env: ['A=1'], WorkingDir: '/' };
  const built = builtConfig({ stage: stageOn([], config), tree, labels: new Map([['a', '2']]), squashed: false });
  assert.deepEqual([built.created, built.architecture, built.variant], ['1970-01-02T00:00:00Z', 'arm64', 'v8']);
  assert.ok(built.history.every(({ created }) => created === '1970-01-02T00:00:00Z'));
  const text = JSON.stringify(built.config);
  assert.equal(text, '{"Env":["A=1"],"Cmd":["x"],"WorkingDir":"/","Labels":{"__proto__":"2","a":"2","b":"1"}}');
  assert.deepEqual({ ...parseImageConfig(encodeImageConfig(built)).config.Labels }, { ['__proto__']: '2', a: '2', b: '1' });
});
