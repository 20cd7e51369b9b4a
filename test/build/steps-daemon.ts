/** A daemon that is only there to be killed while a step of a build runs: `steps-daemon.ts DIRECTORY CGROUP MARK`. */
import { StepsFixture } from './steps-fixture.ts';

const [directory = '', cgroupParent = '', mark = ''] = process.argv.slice(2);
const fixture = new StepsFixture({ directory, cgroupParent });
await fixture.open();
const script = `echo running; (setsid sh -c 'while :; do sleep 1; done # ${mark}' &); while :; do sleep 1; done # ${mark}`;
const secret = { kind: 'secret' as const, target: '/run/secrets/x', content: Buffer.from('x'), mode: 0o400, uid: 0, gid: 0 };
await fixture.steps.run(fixture.step(script, { mounts: [secret] }), () => console.log('ready'), new AbortController().signal);
