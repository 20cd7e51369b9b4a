import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageRunConfig } from '../oci/image-config.ts';
import { applyChanges } from './changes.ts';

const cases: readonly (readonly [what: string, changes: readonly string[], expected: ImageRunConfig, base?: ImageRunConfig])[] = [
  ['CMD, exec form', ['CMD ["a", "b"]'], { Cmd: ['a', 'b'] }],
  ['CMD, shell form', ['cmd echo "hi"'], { Cmd: ['/bin/sh', '-c', 'echo "hi"'] }],
  ['CMD, single quotes are no JSON', ["CMD ['a']"], { Cmd: ['/bin/sh', '-c', "['a']"] }],
  ['ENTRYPOINT clears the inherited CMD', ['ENTRYPOINT ["e"]'], { Entrypoint: ['e'] }, { Cmd: ['old'] }],
  ['ENTRYPOINT keeps a CMD of the same changes', ['CMD ["c"]', 'ENTRYPOINT ["e"]'], { Cmd: ['c'], Entrypoint: ['e'] }],
  ['ENV', ['ENV A=1 B="x y" C=\'$A\' D=$A-${Z:-none}', 'ENV A=2'], { Env: ['A=2', 'B=x y', 'C=$A', 'D=-none'] }],
  ['ENV sees what came before', ['ENV A=1', 'ENV B=${A}x D=\\$A'], { Env: ['A=1', 'B=1x', 'D=$A'] }],
  ['ENV, old form', ['ENV A  all the rest '], { Env: ['A=all the rest'] }],
  ['ENV replaces in place', ['ENV P=2'], { Env: ['P=2', 'Q=1'] }, { Env: ['P=1', 'Q=1'] }],
  ['EXPOSE', ['EXPOSE 80 53/UDP 8000-8001'], { ExposedPorts: map('53/udp', '80/tcp', '8000/tcp', '8001/tcp') }],
  ['EXPOSE of one port twice', ['EXPOSE 80 80/tcp'], { ExposedPorts: map('80/tcp') }],
  ['EXPOSE of a variable', ['ENV P="80 81"', 'EXPOSE $P'], { Env: ['P=80 81'], ExposedPorts: map('80/tcp', '81/tcp') }],
  ['LABEL', ['LABEL a=b "c d"="e f"'], { Labels: labels({ a: 'b', 'c d': 'e f' }) }],
  ['LABEL __proto__', ['LABEL __proto__=x'], { Labels: labels(JSON.parse('{"__proto__":"x"}')) }],
  [
    'USER, WORKDIR, STOPSIGNAL',
    ['USER 1:2', 'WORKDIR /a', 'WORKDIR b/../c', 'STOPSIGNAL SIGTERM'],
    { User: '1:2', WorkingDir: '/a/c', StopSignal: 'SIGTERM' },
  ],
  ['VOLUME', ['VOLUME ["/a b"]', 'VOLUME /c /d'], { Volumes: map('/a b', '/c', '/d') }],
  ['ONBUILD', ['ONBUILD RUN make  x'], { OnBuild: ['RUN make  x'] }],
  [
    'HEALTHCHECK',
    ['HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=2 CMD a b'],
    { Healthcheck: { Test: ['CMD-SHELL', 'a b'], Interval: 90e9, Timeout: 1.5e9, Retries: 2 } },
  ],
  ['HEALTHCHECK, exec form', ['HEALTHCHECK CMD ["a"]'], { Healthcheck: { Test: ['CMD', 'a'] } }],
  ['HEALTHCHECK NONE', ['HEALTHCHECK NONE'], { Healthcheck: { Test: ['NONE'] } }],
  ['several in one, continued, commented', ['USER a\n# no\nENV A=1 \\\n B=2'], { User: 'a', Env: ['A=1', 'B=2'] }],
];

function map(...names: readonly string[]): Record<string, Record<string, never>> {
  return Object.assign(Object.create(null), Object.fromEntries(names.map((name) => [name, {}])));
}

function labels(entries: Record<string, string>): Record<string, string> {
  const made = Object.create(null);
  for (const [key, value] of Object.entries(entries)) made[key] = value;
  return made;
}

for (const [what, changes, expected, base] of cases) {
  test(`applyChanges: ${what}`, () => assert.deepStrictEqual(applyChanges(base ?? {}, changes), expected));
}

const refused: readonly (readonly [string, RegExp])[] = [
  ['FROM x', /from is not a valid change command/],
  ['__proto__ x', /unknown instruction: __proto__/],
  ['ENV', /ENV requires at least one argument/],
  ['ENV A', /ENV must have two arguments/],
  ['ENV A=1 b', /can't find = in "b"/],
  ['ENV =1', /names can not be blank/],
  ['ENV A="x', /matching double-quote/],
  ['ENV A=${B^^}', /unsupported modifier \(\^\) in substitution/],
  ['ENV A=${B', /missing '}' in substitution/],
  ['ENV A=${B:?gone}', /B: gone/],
  ['EXPOSE 99999', /invalid containerPort: 99999/],
  ['EXPOSE 80/xyz', /invalid proto: xyz/],
  ['STOPSIGNAL SIGFOO', /invalid signal: SIGFOO/],
  ['USER', /USER requires exactly one argument/],
  ['VOLUME [""]', /can not be an empty string/],
  ['CMD [1]', /arrays must be comprised of strings only/],
  ['ONBUILD ONBUILD RUN x', /Chaining ONBUILD/],
  ['ONBUILD FROM x', /FROM isn't allowed as an ONBUILD trigger/],
  ['HEALTHCHECK --interval=10us CMD a', /cannot be less than 1ms/],
  ['HEALTHCHECK --bad=1 CMD a', /unknown flag: --bad/],
  ['HEALTHCHECK --interval=x CMD a', /invalid duration/],
  ['HEALTHCHECK CMD', /Missing command/],
  ['HEALTHCHECK FOO a', /Unknown type "FOO"/],
];

for (const [change, message] of refused) {
  test(`applyChanges: refuses ${change}`, () => assert.throws(() => applyChanges({}, [change]), message));
}
