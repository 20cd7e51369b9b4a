import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DeviceList, DeviceView } from '../../devices/devices.ts';
import { findStepDevices } from './find-step-devices.ts';

function view(name: string, annotations: Readonly<Record<string, string>> = {}, ofKind: Readonly<Record<string, string>> = {}): DeviceView {
  const [kind = '', device = ''] = name.split('=', 2);
  return {
    name,
    file: '/etc/cdi/x.yaml',
    maker: null,
    model: '',
    uuid: null,
    memoryBytes: null,
    description: { cdiVersion: '0.6.0', kind, annotations: ofKind, device: { name: device, annotations, containerEdits: {} } },
    heldBy: [],
    problem: null,
  };
}

const ofClass = (name: string) => ({ 'org.mobyproject.buildkit.device.class': name });
const open = { 'org.mobyproject.buildkit.device.autoallow': 'true' };
const list: DeviceList = {
  devices: [
    view('a.com/x=1', ofClass('fast')),
    view('a.com/x=2', { ...open, ...ofClass('fast') }),
    view('b.com/y=1', { ...open, 'org.mobyproject.buildkit.device.autoallow': 'false' }, open),
    view('b.com/y=2', {}, open),
  ],
  problems: [{ source: '/etc/cdi/z.json', text: '/etc/cdi/z.json: it is empty' }],
};
const devices = { list: async () => list, specDirectories: ['/etc/cdi'] };

const find = async (...words: readonly string[]) =>
  (
    await findStepDevices(
      devices,
      words.map((name) => ({ name, required: true })),
    )
  ).map(({ name, isOpen }) => `${name}${isOpen ? ' open' : ''}`);

describe('findStepDevices', () => {
  it('knows the forms of BuildKit', async () => {
    assert.deepEqual(await find('a.com/x=1', 'a.com/x=2'), ['a.com/x=1', 'a.com/x=2 open']);
    assert.deepEqual(await find('a.com/x'), ['a.com/x=1']);
    assert.deepEqual(await find('b.com/y=*'), ['b.com/y=1', 'b.com/y=2 open']);
    assert.deepEqual(await find('fast'), ['a.com/x=1', 'a.com/x=2 open']);
    assert.deepEqual(await find('/dev/fuse'), ['/dev/fuse']);
  });

  it('leaves out what is not there, unless it is required', async () => {
    for (const name of ['c.com/z=1', 'c.com/z', 'c.com/z=*', 'slow']) {
      assert.deepEqual(await findStepDevices(devices, [{ name, required: false }]), []);
    }
    // Whoever grants it says why.
    assert.deepEqual(await find('a.com/x=3'), ['a.com/x=3']);
    await assert.rejects(find('a.com/z'), {
      message:
        'required device "a.com/z" is not registered: did you mean a.com/x? descriptions are read from /etc/cdi; /etc/cdi/z.json: it is empty',
    });
    await assert.rejects(
      find('unknown-word'),
      /is not registered: descriptions are read from \/etc\/cdi; .*the name of a device is vendor\.com\/class=name$/,
    );
  });

  it('asks nobody for nodes', async () => {
    const nobody = { list: () => Promise.reject(new Error('asked')), specDirectories: [] };
    const wanted = [{ name: '/dev/null', required: false }];
    assert.deepEqual(await findStepDevices(nobody, wanted), [{ name: '/dev/null', word: '/dev/null', required: false, isOpen: false }]);
  });
});
