import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRequirements, compareVersions, requirementsOf } from './driver-requirements.ts';
import { environmentOf } from './gpu-environment.ts';

const check = (text: string, facts: { driver?: string; cuda?: string | null } = {}) =>
  checkRequirements([['NVIDIA_REQUIRE_CUDA', text]], { driver: '535.54.03', cuda: '12.2', ...facts });
/** As images of nvidia/cuda have it. */
const ofCuda124 = 'cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=unknown,driver>=525,driver<526';

test('checkRequirements: an alternative that holds, or may, is enough', () => {
  check('cuda>=12.1');
  check('cuda>=12.2,driver>=535');
  check(ofCuda124, { cuda: '13.0' });
  check(ofCuda124, { driver: '470.103' });
  check(ofCuda124, { cuda: null });
  check('arch>=9.0');
  check('cuda!=11.0');
});

test('checkRequirements: what is needed and what is here is told', () => {
  assert.throws(
    () => check(ofCuda124),
    /^EngineError: unsatisfied condition: cuda>=12\.4 \(the image says NVIDIA_REQUIRE_CUDA="cuda>=12\.4 .*…"\), but this machine has the driver 535\.54\.03, which offers CUDA 12\.2\. Update .* NVIDIA_DISABLE_REQUIRE=1/,
  );
  assert.throws(() => check('driver>=550,driver<551', { cuda: null }), /driver>=550 and driver<551 .* has the driver 535\.54\.03\. /);
  assert.throws(() => check('cuda=12.1'), /unsatisfied condition: cuda=12\.1/);
  assert.throws(() => check('cuda>12.1,cuda<12.2'), /unsatisfied/);
});

test('checkRequirements: what is no condition is named', () => {
  for (const text of ['cuda', '>=12', 'cuda>=new', 'driver=~5']) {
    assert.throws(() => check(text), /NVIDIA_REQUIRE_CUDA has the condition .* NVIDIA_DISABLE_REQUIRE=1/, text);
  }
});

test('requirementsOf: every NVIDIA_REQUIRE_ unless they are switched off', () => {
  const of = (...variables: readonly string[]) => requirementsOf(environmentOf(variables)).map(([name]) => name);
  const both = [
    'NVIDIA_REQUIRE_CUDA=cuda>=12',
    'NVIDIA_REQUIRE_DRIVER=driver>=535',
    'NVIDIA_REQUIRE_JETPACK=x',
    'NVIDIA_REQUIRE_NOTHING=',
    'A=b',
  ];
  assert.deepEqual(of(...both), ['NVIDIA_REQUIRE_CUDA', 'NVIDIA_REQUIRE_DRIVER']);
  assert.deepEqual(of(...both, 'NVIDIA_DISABLE_REQUIRE=true'), []);
  assert.equal(of(...both, 'NVIDIA_DISABLE_REQUIRE=0').length, 2);
});

test('compareVersions: by number, missing parts are zero', () => {
  assert.ok(compareVersions('535.54.03', '535.129') < 0);
  assert.ok(compareVersions('12.10', '12.9') > 0);
  assert.equal(compareVersions('12', '12.0.0'), 0);
});
