/** The sixty cases of shared/dockerfile.md section 11, by their numbers. `⇥` of the list is a tab here. */
import assert from 'node:assert/strict';
import type { BuiltImage, ImageFile } from './built-images.ts';

export interface ConformanceCase {
  /** Number in the list, and a letter where one has several parts. */
  readonly id: string;
  readonly dockerfile: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Part of the error; nothing else is looked at then. */
  readonly error?: string;
  /** Names of build checks that warn, in any order. Absent: none. */
  readonly warnings?: readonly string[];
  check?(built: Built): void;
}

export class Built {
  readonly image: BuiltImage;
  readonly output: string;

  constructor(image: BuiltImage, output: string) {
    this.image = image;
    this.output = output;
  }

  get config(): BuiltImage['config']['config'] {
    return this.image.config.config;
  }

  /** Without PATH. */
  get env(): readonly string[] {
    return (this.config.Env ?? []).filter((pair) => !pair.startsWith('PATH='));
  }

  get labels(): unknown {
    return this.config.Labels ?? {};
  }

  /** Of this build, not of the base. */
  get history(): readonly string[] {
    return this.image.config.history.map(({ created_by }) => created_by).filter((text) => text !== 'busybox-static');
  }

  file(path: string): ImageFile {
    const found = this.image.tree.get(path);
    assert.ok(found, `there is no ${path}: ${[...this.image.tree.keys()].join(' ')}`);
    return found;
  }

  /** Name, mode, owner and content at once. */
  is(path: string, content: string, mode = 0o644, owner = '0:0'): void {
    const file = this.file(path);
    assert.deepEqual([file.content, file.mode.toString(8), `${file.uid}:${file.gid}`], [content, mode.toString(8), owner], path);
  }
}

const equal = (actual: unknown, expected: unknown): void => assert.deepEqual(actual, expected);
const text = (...lines: readonly string[]) => lines.join('\n');
const builds = (id: string, dockerfile: string, check: (built: Built) => void, more: Partial<ConformanceCase> = {}): ConformanceCase => ({
  id,
  dockerfile,
  check,
  ...more,
});
const fails = (id: string, dockerfile: string, error: string, more: Partial<ConformanceCase> = {}): ConformanceCase => ({
  id,
  dockerfile,
  error,
  ...more,
});
const args = (values: Readonly<Record<string, string>>) => ({ query: { buildargs: JSON.stringify(values) } });
const scratch = (...lines: readonly string[]) => text('FROM scratch', ...lines);

const operators = 'ENV A=${P##*/} B=${P%.*} C=${P%%.*} D=${P/\\//_}';
const argScopes = text('ARG V=1', 'FROM scratch', 'LABEL a=$V', 'ARG V', 'LABEL b=$V', 'ARG V=2', 'LABEL c=$V');
const unreachable = text('FROM scratch AS a', 'COPY --from=b /x /', 'FROM scratch AS b');

export const conformanceCases: readonly ConformanceCase[] = [
  builds('1', text('# escape=`', 'FROM scratch', 'ENV A=C:\\x'), ({ env }) => equal(env, ['A=C:\\x'])),
  builds('2', text('# foo=1', '# escape=`', 'FROM scratch', 'ENV A=C:\\x'), ({ env }) => equal(env, ['A=C:x'])),
  fails('3', text('# escape=\\', '# ESCAPE=\\', 'FROM scratch'), 'only one escape parser directive can be used'),
  builds('4', '\uFEFFFROM scratch\r\nENV A=1\r\nLABEL b=2\r\n', ({ env, labels }) => equal([env, labels], [['A=1'], { b: '2' }])),
  builds('5', scratch('ENV A=1 \\', '# c', '  B=2'), ({ env }) => equal(env, ['A=1', 'B=2'])),
  builds('6', scratch('ENV A=1 \\', '', ' B=2'), ({ env }) => equal(env, ['A=1', 'B=2']), { warnings: ['NoEmptyContinuation'] }),
  builds('7', scratch('LABEL a="x \\', '  y" b=p\\', 'q'), ({ labels }) => equal(labels, { a: 'x   y', b: 'pq' })),
  fails('8', scratch('ENV A=1 # c'), 'can\'t find = in "#"'),
  builds('9', scratch('ENV A B=C D'), ({ env }) => equal(env, ['A=B=C D']), { warnings: ['LegacyKeyValueFormat'] }),
  builds('10', scratch('ENV A=1', 'ENV A=2 B=$A', 'ENV C=$A'), ({ env }) => equal(env, ['A=2', 'B=1', 'C=2'])),
  builds('11', scratch('ENV A=\'$PATH\' B=\\$PATH C="\\$PATH"'), ({ env }) => equal(env, ['A=$PATH', 'B=$PATH', 'C=$PATH'])),
  builds('12', scratch('ENV A="it\'s" B=\'a"b\' C=a\\ b'), ({ env }) => equal(env, ["A=it's", 'B=a"b', 'C=a b'])),
  builds('13', scratch('ENV P=/usr/lib/x.tar.gz', operators), ({ env }) =>
    equal(env.slice(1), ['A=x.tar.gz', 'B=/usr/lib/x.tar', 'C=/usr/lib/x', 'D=_usr/lib/x.tar.gz']),
  ),
  fails('14', scratch('ENV A=${B:=x}'), 'unsupported modifier (:=) in substitution'),
  fails('15', scratch('ENV A="${B:?no b}"'), 'B: no b'),
  builds('16', scratch('LABEL a=$$ b=$1x c=${U-}'), ({ labels }) => equal(labels, { a: '', b: 'x', c: '' })),
  builds('17a', argScopes, ({ labels }) => equal(labels, { a: '', b: '1', c: '2' }), { warnings: ['UndefinedVar'] }),
  builds('17b', argScopes, ({ labels }) => equal(labels, { a: '', b: '9', c: '9' }), { warnings: ['UndefinedVar'], ...args({ V: '9' }) }),
  builds('18', scratch('ENV A=e', 'ARG A=g', 'LABEL x=$A'), ({ env, labels }) => equal([env, labels], [['A=e'], { x: 'g' }])),
  builds('19', scratch('ARG A=g', 'ENV A=e', 'LABEL x=$A'), ({ labels }) => equal(labels, { x: 'e' }), args({ A: 'b' })),
  builds('20a', text('FROM scratch AS s', 'ARG A=1', 'FROM s', 'LABEL x=$A'), ({ labels }) => equal(labels, { x: '1' })),
  builds('20b', text('FROM scratch AS s', 'ARG A=1', 'FROM scratch', 'LABEL x=$A'), ({ labels }) => equal(labels, { x: '' }), {
    warnings: ['UndefinedVar'],
  }),
  builds(
    '21',
    scratch('LABEL a=$TARGETARCH', 'ARG TARGETARCH', 'LABEL b=$TARGETARCH'),
    ({ labels, image }) => equal([labels, image.config.architecture], [{ a: '', b: 'arm64' }, 'arm64']),
    { query: { platform: 'linux/arm64' }, warnings: ['UndefinedVar'] },
  ),
  builds('22', scratch('CMD ["a"]', 'CMD []'), ({ config }) => equal(config.Cmd ?? null, null), {
    warnings: ['MultipleInstructionsDisallowed'],
  }),
  builds('23', scratch("CMD ['a']"), ({ config }) => equal(config.Cmd, ['/bin/sh', '-c', "['a']"]), { warnings: ['JSONArgsRecommended'] }),
  fails('24', scratch('CMD ["a", 1]'), 'arrays must be comprised of strings only'),
  builds('25', scratch('CMD [ "a" ] # x'), ({ config }) => equal(config.Cmd, ['/bin/sh', '-c', '[ "a" ] # x']), {
    warnings: ['JSONArgsRecommended'],
  }),
  fails('26', scratch('CMD --help'), 'unknown flag: --help'),
  builds('27a', text('FROM scratch AS b', 'CMD ["c"]', 'FROM b', 'ENTRYPOINT ["e"]'), ({ config }) =>
    equal([config.Entrypoint, config.Cmd ?? null], [['e'], null]),
  ),
  builds('27b', scratch('CMD ["c"]', 'ENTRYPOINT ["e"]'), ({ config }) => equal([config.Entrypoint, config.Cmd], [['e'], ['c']])),
  builds('28', scratch('SHELL ["/bin/bash","-ec"]', 'CMD x y'), ({ config }) =>
    equal(
      [config.Shell, config.Cmd],
      [
        ['/bin/bash', '-ec'],
        ['/bin/bash', '-ec', 'x y'],
      ],
    ),
  ),
  builds(
    '29',
    scratch('WORKDIR a', 'WORKDIR ../b', 'WORKDIR $U'),
    (built) => {
      equal([built.config.WorkingDir, built.history, built.image.layers.length], ['/b', ['WORKDIR /a', 'WORKDIR /b', 'WORKDIR /b'], 3]);
      for (const name of ['a', 'b']) built.is(name, '', 0o755);
    },
    { warnings: ['WorkdirRelativePath', 'UndefinedVar'] },
  ),
  builds('30', scratch('WORKDIR /'), ({ image }) =>
    equal([image.config.history.map((each) => [each.created_by, each.empty_layer]), image.layers.length], [[['WORKDIR /', true]], 0]),
  ),
  builds(
    '31',
    scratch('EXPOSE 81/UDP 80 9000-9002'),
    ({ history }) => equal(history, ['EXPOSE [80/tcp 81/udp 9000/tcp 9001/tcp 9002/tcp]']),
    {
      warnings: ['ExposeProtoCasing'],
    },
  ),
  builds('32', scratch('ENV P="80 81"', 'EXPOSE $P'), ({ config }) => equal(config.ExposedPorts, { '80/tcp': {}, '81/tcp': {} })),
  fails('33', scratch('EXPOSE 99999'), 'invalid containerPort: 99999'),
  builds('34', scratch('VOLUME /a /b', 'VOLUME ["/c d"]', "VOLUME ['/e']"), ({ config }) =>
    equal(Object.keys(config.Volumes ?? {}).sort(), ['/a', '/b', '/c d', '[/e]']),
  ),
  builds('35a', scratch('STOPSIGNAL kill'), ({ config }) => equal(config.StopSignal, 'kill')),
  fails('35b', scratch('STOPSIGNAL SIGFOO'), 'invalid signal: SIGFOO'),
  builds('36', scratch('HEALTHCHECK --interval=1m30s --retries=2 CMD a b'), ({ config }) =>
    equal(config.Healthcheck, { Test: ['CMD-SHELL', 'a b'], Interval: 90000000000, Retries: 2 }),
  ),
  fails('37', scratch('HEALTHCHECK --interval=10us CMD a'), 'cannot be less than 1ms'),
  builds('38', scratch('USER a b'), ({ config }) => equal(config.User, 'a b')),
  builds(
    '39',
    scratch('MAINTAINER me', 'LABEL "a b"=c d.e='),
    ({ image, labels }) => equal([image.config.author, labels], ['me', { 'a b': 'c', 'd.e': '' }]),
    { warnings: ['MaintainerDeprecated'] },
  ),
  builds('40', scratch('ONBUILD RUN x', 'ONBUILD ENV A=$B'), ({ config, history }) =>
    equal([config.OnBuild, history], [['RUN x', 'ENV A=$B'], []]),
  ),
  fails('41', scratch('ONBUILD ONBUILD RUN x'), 'Chaining ONBUILD'),
  builds('42', text('FROM scratch AS a', 'ONBUILD LABEL z=1', 'FROM a AS b', 'FROM b'), ({ labels, history, config }) =>
    equal([labels, history, config.OnBuild ?? null], [{ z: '1' }, ['LABEL z=1'], null]),
  ),
  fails('43a', text('FROM scratch AS Web', 'FROM Web'), 'must be lowercase'),
  builds('43b', text('FROM scratch AS Web', 'FROM web', 'LABEL a=b'), ({ labels }) => equal(labels, { a: 'b' }), {
    warnings: ['StageNameCasing'],
  }),
  builds('44a', unreachable, ({ image }) => equal(image.layers.length, 0)),
  fails('44b', unreachable, 'cannot copy from stage "b", it needs to be defined before current stage "a"', { query: { target: 'a' } }),
  fails('45', scratch('COPY --from=0 f /'), 'circular dependency detected on stage: stage-0'),
  fails('46', text('ARG S=x', 'FROM scratch', 'COPY --from=$S a b'), 'variable expansion is not supported for --from'),
  builds('47', text('FROM nosuch.invalid/x AS u', 'FROM scratch', 'LABEL a=b'), ({ labels }) => equal(labels, { a: 'b' })),
  builds('48a', scratch('COPY <<E /a', 'x $U \\$U a\\tb', 'E'), (built) => built.is('a', 'x  $U atb\n')),
  builds('48b', scratch("COPY <<'E' /a", 'x $U \\$U a\\tb', 'E'), (built) => built.is('a', 'x $U \\$U a\\tb\n')),
  builds('49', scratch('COPY <<-E <<F /d/', '\ta', '\tE', '\tb', 'F'), (built) => {
    built.is('d/E', 'a\n');
    built.is('d/F', '\tb\n');
  }),
  fails('50', scratch('COPY <<E /a', 'x'), 'unterminated heredoc'),
  builds('51', text('FROM busybox', 'RUN <<E', '#!/bin/sh', 'echo $0 >/o', 'E'), (built) => {
    built.is('o', '/dev/pipes/E\n');
    equal(built.history, ['RUN /bin/sh -c /dev/pipes/E # buildkit']);
    equal([...(built.image.layers.at(-1)?.keys() ?? [])], ['o']);
  }),
  fails('52', text('FROM busybox', 'RUN cat<<E', 'x', 'E'), 'line 3: unknown instruction: x'),
  builds('53', scratch('COPY d /o', 'COPY ld ln /p/'), (built) => {
    built.is('o', '', 0o755);
    built.is('o/a', 'A\n', 0o600);
    built.is('o/b/c', 'C\n');
    for (const top of ['o', 'p']) equal([built.file(`${top}/l`).type, built.file(`${top}/l`).content], ['symbolic-link', 'a']);
    built.is('p/a', 'A\n', 0o600);
    built.is('p/b/c', 'C\n');
    built.is('p/ln', 'F\n');
  }),
  builds('54', scratch('COPY ../../f /g', 'COPY /f h'), (built) => {
    built.is('g', 'F\n');
    built.is('h', 'F\n');
  }),
  builds('55a', scratch('COPY nope* /'), ({ image }) => equal([...image.tree.keys()], [])),
  fails('55b', scratch('COPY nope /'), '"/nope": not found'),
  builds('56', scratch('ADD t.tar.gz /o', 'ADD --unpack=false t.tar.gz /p', 'ADD f /q/'), (built) => {
    built.is('o/in.txt', 'in\n', 0o644, '1000:1000');
    equal([built.file('p').type, built.file('p').content.startsWith('sha256:')], ['file', true]);
    built.is('q/f', 'F\n');
  }),
  builds('57a', scratch('COPY --chmod=u=rwX,go=rX d /o'), (built) => {
    built.is('o/a', 'A\n', 0o644);
    built.is('o/b', '', 0o755);
  }),
  fails('57b', scratch('COPY --chmod=64a d /o'), "invalid chmod parameter: '64a'"),
  builds('58', text('FROM busybox', 'ARG X=1', 'ARG Y', 'ENV X=2', 'RUN true'), ({ history }) =>
    equal(history.at(-1), 'RUN |2 X=2 Y= /bin/sh -c true # buildkit'),
  ),
  // The list leaves out that B has a directory /v: VOLUME makes none, in BuildKit neither.
  builds('59', text('FROM busybox', 'RUN mkdir /v', 'VOLUME /v', 'RUN echo 1 >/v/x', 'RUN cat /v/x'), (built) => {
    built.is('v/x', '1\n');
    assert.match(built.output, /^1$/m);
  }),
];
