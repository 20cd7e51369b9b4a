import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseVolumesFrom } from './volume-syntax.ts';

test('parseVolumesFrom: a container and a mode', () => {
  assert.deepEqual(parseVolumesFrom('db'), { reference: 'db', readOnly: false });
  assert.deepEqual(parseVolumesFrom('db:ro'), { reference: 'db', readOnly: true });
  assert.deepEqual(parseVolumesFrom('db:rw,z'), { reference: 'db', readOnly: false });
  assert.throws(() => parseVolumesFrom(''), { message: 'volumes-from specification cannot be an empty string' });
  for (const mode of ['x', 'rshared', 'nocopy', 'ro,rw', 'ro:z']) {
    assert.throws(() => parseVolumesFrom(`db:${mode}`), { code: 'invalid', message: `invalid mode: ${mode}` });
  }
});
