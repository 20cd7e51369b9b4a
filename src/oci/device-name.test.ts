import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseDeviceName } from './device-name.ts';

describe('parseDeviceName', () => {
  it('takes what the specification allows', () => {
    assert.deepEqual(parseDeviceName('nvidia.com/gpu=all'), { vendor: 'nvidia.com', class: 'gpu', name: 'all' });
    for (const name of ['a/b=c', 'vendor.com/net-1.x=0', 'nvidia.com/gpu=0:1', 'nvidia.com/gpu=GPU-8ce1_2.3', 'V0/c_d=9x'])
      assert.notEqual(parseDeviceName(name), null, name);
  });

  it('refuses paths and everything else', () => {
    const others = [
      '',
      '/dev/null',
      '/dev/a=b',
      'nvidia.com/gpu',
      'nvidia.com=0',
      '/gpu=0',
      'nvidia.com/=0',
      'nvidia.com/gpu=',
      '0v/c=d',
      'v/0c=d',
    ];
    const more = ['v./c=d', 'v/c-=d', 'v/c=-d', 'v/c=d:', 'v/c=d e', 'v/c/d=e', 'v/c=d=e', 'v/c=d/e', 'v/c=ä', 'v/c=d\n', '\nv/c=d'];
    for (const name of [...others, ...more]) assert.equal(parseDeviceName(name), null, JSON.stringify(name));
  });
});
