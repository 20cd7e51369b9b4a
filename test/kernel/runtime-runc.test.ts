/** Debian's runc behind the same contract suite as the native runtime, through the monitor. Needs root, busybox and runc. */
import { existsSync } from 'node:fs';
import { it } from 'node:test';
import { runtimeSuite } from '../../src/runtime/runtime-suite.ts';
import { openNativeFixture, whyNoNativeRuntime } from './native-fixture.ts';

const program = ['/usr/sbin/runc', '/usr/bin/runc', '/usr/local/sbin/runc'].find(existsSync) ?? null;
const missing = whyNoNativeRuntime() ?? (program === null ? 'needs runc (apt install runc)' : null);

if (missing !== null || program === null) it('runtime runc', { skip: missing ?? true }, () => {});
else runtimeSuite('runc', () => openNativeFixture({ name: 'runc', path: program, args: [], patienceMs: 60_000 }));
