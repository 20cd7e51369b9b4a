/** Debian's runc behind the same contract suite as the native runtime, through the monitor. Needs root, busybox and runc. */
import { it } from 'node:test';
import { runtimeSuite } from '../../src/runtime/runtime-suite.ts';
import { openNativeFixture, runcProgram, whyNoNativeRuntime } from './native-fixture.ts';

const missing = whyNoNativeRuntime() ?? (runcProgram === null ? 'needs runc (apt install runc)' : null);

if (missing !== null) it('runtime runc', { skip: missing }, () => {});
else runtimeSuite('runc', () => openNativeFixture(runcProgram));
