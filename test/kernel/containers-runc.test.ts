/** The container tests once more, with runc. Any kernel test runs so with GANTRY_TEST_RUNTIME=runc. */
import { it } from 'node:test';

process.env.GANTRY_TEST_RUNTIME = 'runc';
const { runcProgram } = await import('./native-fixture.ts');

if (runcProgram === null) it('containers under runc', { skip: 'needs runc (apt install runc)' }, () => {});
else await import('./containers.test.ts');
