/**
 * Dockerfiles that the peer's two builders know: its classic one, and its BuildKit of 2020. Each is built by both and by us; file tree and config must be equal but for what
 * `differs` lists with its reason (and then must differ: a reason that no longer holds fails).
 */
import { readFileSync } from 'node:fs';
import { type ContextFiles, tarGzOf, tarOf } from './built-images.ts';

export interface PeerCase {
  readonly name: string;
  readonly dockerfile: string;
  /** Beside the shared context. */
  readonly files?: ContextFiles;
  readonly query?: Readonly<Record<string, string>>;
  /** Of what `--mount`, `--chmod` and the like need. */
  readonly only?: 'buildkit';
  readonly differs?: { readonly [builder in PeerBuilder]?: PeerDifference };
}

export type PeerBuilder = 'classic' | 'buildkit';

export interface PeerDifference {
  readonly why: string;
  /** Paths of the tree, or `config.X`, or `result`: only one of the two builds it. */
  readonly in: readonly string[];
}

const file = (content: string, mode: number, uid = 0, gid = 0) => ({ content, mode, uid, gid });
const link = (linkTarget: string) => ({ type: 'symbolic-link' as const, linkTarget });
const long = 'a-directory-with-a-rather-long-name/and-one-more-below-it-that-is-long-too/so-that-no-header-of-old-holds-it';

const archive: ContextFiles = {
  'in/': { uid: 1000, gid: 1000, mode: 0o750 },
  'in/file': file('in\n', 0o640, 1000, 1000),
  'in/link': link('file'),
  'in/hard': { type: 'hard-link', linkTarget: 'in/file', mode: 0o640, uid: 1000, gid: 1000 },
  top: file('top\n', 0o4755),
};

export const sharedContext: ContextFiles = {
  f: 'F\n',
  g: 'G\n',
  'x.sh': file('#!/bin/sh\necho x\n', 0o755),
  'secret-ish': file('s\n', 0o600, 1000, 1000),
  setuid: file('u\n', 0o6755),
  'name with blanks': 'blanks\n',
  größe: 'umlaut\n',
  'd/': { mode: 0o700 },
  'd/a': file('A\n', 0o600),
  'd/b/': { mode: 0o755 },
  'd/b/c': 'C\n',
  'd/l': link('a'),
  'd/.hidden': 'hidden\n',
  'd/empty/': { mode: 0o1777 },
  'd/hard1': 'hard\n',
  'd/hard2': { type: 'hard-link', linkTarget: 'd/hard1', mode: 0o644 },
  'd/dangling': link('../nowhere'),
  'e/': {},
  'e/a': 'EA\n',
  'e/z': 'EZ\n',
  [`${long}/`]: {},
  [`${long}/f`]: 'long\n',
  ln: link('f'),
  ld: link('d'),
  't.tar': await tarOf(archive),
  't.tar.gz': await tarGzOf(archive),
  'not-a.tar.gz': 'no archive\n',
};

const lines = (...all: readonly string[]) => `${all.join('\n')}\n`;

const examples = new URL('../../examples/', import.meta.url);
const example = (path: string) => readFileSync(new URL(path, examples), 'utf8');

export const peerCases: readonly PeerCase[] = [
  {
    // The one that needs no packages: the peer's network reaches none.
    name: 'examples/static-site',
    dockerfile: example('static-site/Dockerfile'),
    files: {
      'site/': {},
      'site/index.html': example('static-site/site/index.html'),
      'site/style.css': example('static-site/site/style.css'),
    },
  },
  { name: 'config only', dockerfile: lines('FROM busybox', 'ENV A=1', 'LABEL a=b', 'CMD ["x"]') },
  {
    name: 'every instruction of the config',
    dockerfile: lines(
      'FROM busybox',
      'MAINTAINER me <me@example.org>',
      'ENV A=1 B="two words" C=\'$A\' D=$A',
      'ENV E some words',
      'LABEL one=1 "two words"="x y" three=$A',
      'EXPOSE 80 443/tcp 53/udp',
      'USER user:extra',
      'VOLUME /v "/w"',
      'STOPSIGNAL SIGQUIT',
      'SHELL ["/bin/sh", "-ec"]',
      'HEALTHCHECK --interval=1m --timeout=3s --start-period=2s --retries=5 CMD test -e /x',
      'ENTRYPOINT ["/e", "x"]',
      'CMD ["c", "d"]',
      'ONBUILD RUN echo later',
    ),
  },
  { name: 'shell forms', dockerfile: lines('FROM busybox', 'ENTRYPOINT exec top -b', 'CMD echo $HOME') },
  { name: 'SHELL reaches CMD and RUN', dockerfile: lines('FROM busybox', 'SHELL ["/bin/sh", "-xc"]', 'RUN echo $0 > /o', 'CMD a b') },
  { name: 'HEALTHCHECK in exec form, then NONE', dockerfile: lines('FROM busybox', 'HEALTHCHECK CMD ["a", "b"]', 'HEALTHCHECK NONE') },
  { name: 'ENTRYPOINT after CMD of the base', dockerfile: lines('FROM busybox', 'ENTRYPOINT ["e"]') },
  { name: 'ENTRYPOINT after CMD of the same stage', dockerfile: lines('FROM busybox', 'CMD ["c"]', 'ENTRYPOINT ["e"]') },
  { name: 'empty lists', dockerfile: lines('FROM busybox', 'ENTRYPOINT ["e"]', 'ENTRYPOINT []', 'CMD []') },
  {
    name: 'ENV of one line sees what was before',
    dockerfile: lines('FROM busybox', 'ENV a=1', 'ENV a=2 b=$a', 'ENV c=$a', 'RUN env | grep ^[abc]= | sort > /o'),
  },
  {
    name: 'substitutions',
    dockerfile: lines(
      'FROM busybox',
      'ENV a=x',
      'ENV b=${a}y c=${a:-no} d=${n:-yes} e=${a:+set} f=${n:+no} g=\\$a h="$a" i=\'$a\'',
      'WORKDIR /$a/${n:-z}',
      'LABEL l=${b}',
    ),
  },
  {
    name: 'ARG with default',
    dockerfile: lines('ARG T=latest', 'FROM busybox:$T', 'ARG V=1', 'ARG W', 'RUN echo "$V-$W" > /o', 'LABEL v=$V w=$W'),
  },
  {
    name: 'ARG given',
    dockerfile: lines('ARG G=global', 'FROM busybox', 'ARG V=1', 'ARG W', 'ARG G', 'RUN echo "$V-$W-$G" > /o', 'LABEL v=$V w=$W g=$G'),
    query: { buildargs: '{"V":"v","W":"w","X":"x"}' },
  },
  {
    name: 'ENV wins over an ARG before it',
    dockerfile: lines('FROM busybox', 'ARG V=arg', 'ENV V=env', 'RUN echo $V > /o', 'LABEL v=$V'),
    query: { buildargs: '{"V":"given"}' },
  },
  {
    name: 'ARG after ENV',
    dockerfile: lines('FROM busybox', 'ENV V=env', 'ARG V=arg', 'RUN echo $V > /o', 'LABEL v=$V'),
    differs: {
      classic: { why: 'the later of the two decides, as in BuildKit; the classic builder lets ENV win always', in: ['o', 'config.Labels'] },
    },
  },
  { name: 'labels of the request', dockerfile: lines('FROM busybox', 'LABEL a=1 b=2'), query: { labels: '{"b":"3","c":"4"}' } },
  {
    name: 'RUN makes, changes and removes',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir -p /n/m && echo 1 > /n/f && ln -s f /n/l && ln /n/f /n/h && chmod 4711 /n/f',
      'RUN rm -r /n/m && echo 2 > /n/f && mkdir /n/m && echo again > /n/m/x',
      'RUN rm /etc/group && mv /n/l /n/k',
    ),
  },
  {
    name: 'RUN in exec form',
    dockerfile: lines('FROM busybox', 'RUN ["sh", "-c", "echo $HOME \\"quoted\\" > /o"]', 'RUN ["touch", "/a b"]'),
  },
  {
    name: 'RUN over several lines',
    dockerfile: lines('FROM busybox', 'RUN echo a \\', '  b \\', '# a comment', '  c > /o', '', 'RUN echo d >> /o'),
  },
  {
    name: 'RUN as a user, in a directory',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /h && chown 1000:1000 /h',
      'USER user',
      'WORKDIR /h',
      'RUN id > who && umask > mask && touch plain && mkdir dir && pwd > where',
      'USER 4000:5000',
      'RUN id -u > /tmp/u; id -g > /tmp/g; id -G > /tmp/all; echo $HOME > /tmp/home',
    ),
    differs: { buildkit: { why: 'it leaves out the primary group of the user', in: ['h/who'] } },
  },
  {
    name: 'RUN: special files, owners, times of old',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /s && cd /s && mkfifo p && mknod c c 1 3 && chown 12:34 p && touch -d @1000 old && chown -h 5:6 c && ln -s /s/none dangling',
    ),
  },
  {
    name: 'RUN replaces types',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /t && cd /t && mkdir d2f && echo x > d2f/x && echo f > f2d && ln -s f2d l2f && echo f > f2l',
      'RUN cd /t && rm -r d2f && echo now > d2f && rm f2d && mkdir f2d && echo x > f2d/x && rm l2f && echo file > l2f && rm f2l && ln -s x f2l',
    ),
  },
  {
    name: 'RUN: a directory made anew is not what was below',
    dockerfile: lines('FROM busybox', 'RUN mkdir -p /o/p && echo 1 > /o/1 && echo 2 > /o/p/2', 'RUN rm -r /o && mkdir /o && echo 3 > /o/3'),
  },
  {
    name: 'RUN: modes of directories',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /m && chmod 1777 /m && mkdir /m/sgid && chown 0:1000 /m/sgid && chmod 2775 /m/sgid && touch /m/sgid/f',
      'RUN chmod 700 /m',
    ),
  },
  { name: 'RUN that changes nothing', dockerfile: lines('FROM busybox', 'RUN true', 'RUN echo only output') },
  { name: 'RUN leaves no mount points', dockerfile: lines('FROM busybox', 'RUN ls -d /dev /proc /sys /etc > /o; rm -f /etc/motd') },
  {
    name: 'WORKDIR',
    dockerfile: lines('FROM busybox', 'WORKDIR /a', 'WORKDIR b', 'WORKDIR ../c', 'RUN pwd > o', 'WORKDIR /etc', 'WORKDIR "/with blanks"'),
  },
  {
    name: 'WORKDIR under a user',
    dockerfile: lines('FROM busybox', 'USER user', 'WORKDIR /mine/deep', 'USER 0'),
    differs: { classic: { why: "belongs to the USER, as in BuildKit; the classic builder makes it root's", in: ['mine', 'mine/deep'] } },
  },
  {
    name: 'VOLUME after files',
    dockerfile: lines('FROM busybox', 'RUN mkdir /v && echo 1 > /v/f', 'VOLUME /v', 'RUN echo 2 > /v/g', 'COPY f /v/h'),
    differs: {
      classic: { why: 'a RUN keeps what it writes to a VOLUME, as in BuildKit; the classic builder throws it away', in: ['v/g'] },
    },
  },
  {
    name: 'COPY files',
    dockerfile: lines(
      'FROM busybox',
      'COPY f /one',
      'COPY f g /dir/',
      'COPY f .',
      'COPY x.sh setuid secret-ish /modes/',
      'COPY ["name with blanks", "größe", "/n/"]',
    ),
    differs: {
      classic: { why: 'COPY keeps setuid and setgid, as in BuildKit', in: ['modes/setuid'] },
      buildkit: { why: 'owners of a tar that was sent without a session stay there', in: ['modes/secret-ish'] },
    },
  },
  {
    name: 'COPY of directories',
    dockerfile: lines('FROM busybox', 'COPY d /copied', 'COPY d/ /slash/', 'COPY d/. /dot', 'COPY d e /both/', 'COPY d /etc'),
  },
  {
    name: 'COPY of the context',
    dockerfile: lines('FROM busybox', 'COPY . /all'),
    differs: {
      classic: { why: 'COPY keeps setuid and setgid, as in BuildKit', in: ['all/setuid'] },
      buildkit: { why: 'owners of a tar that was sent without a session stay there', in: ['all/secret-ish'] },
    },
  },
  {
    name: 'COPY to relative places',
    dockerfile: lines('FROM busybox', 'WORKDIR /w', 'COPY f sub/', 'COPY f ../up', 'COPY g ./', 'COPY f /w/sub/../g2'),
  },
  {
    name: 'COPY with wildcards',
    dockerfile: lines(
      'FROM busybox',
      'COPY ?.sh /q/',
      'COPY [fg] /fg/',
      'COPY d/[ab] /star/',
      'COPY d/.h* d/hard? /h/',
      'COPY */z /as/',
      'COPY d/b* /b',
    ),
  },
  {
    name: 'COPY through links',
    dockerfile: lines('FROM busybox', 'COPY ln /ln', 'COPY ld /ld', 'COPY ld/b/c /c'),
  },
  { name: 'COPY over what is there', dockerfile: lines('FROM busybox', 'COPY e /t', 'COPY d /t', 'COPY f /t/z', 'COPY f /bin/newname') },
  {
    name: 'COPY to a place that is a link',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir /real && ln -s real /to-dir && ln -s real/file /to-file && ln -s /real /abs',
      'COPY f /to-dir/',
      'COPY g /to-file',
      'COPY e /abs/sub',
    ),
  },
  {
    name: 'COPY --chown',
    dockerfile: lines(
      'FROM busybox',
      'COPY --chown=user f /u',
      'COPY --chown=1:2 d /n',
      'COPY --chown=user:extra e /made/here/',
      'COPY --chown=77 f /plain',
    ),
    differs: { classic: { why: 'directories that are made have the owner too, as in BuildKit', in: ['made'] } },
  },
  { name: 'COPY makes parents', dockerfile: lines('FROM busybox', 'COPY f /x/y/z/', `COPY ${long}/f /l/`, `COPY ${long} /m`) },
  {
    name: 'COPY from a stage',
    dockerfile: lines(
      'FROM busybox AS one',
      'RUN mkdir /o && echo 1 > /o/f && chown 5:6 /o/f && chmod 640 /o/f && ln -s f /o/l',
      'FROM busybox AS two',
      'COPY --from=one /o /p',
      'FROM busybox',
      'COPY --from=one /o/f /q/',
      'COPY --from=1 /p/l /r',
      'COPY --from=two --chown=1:1 /p /s',
    ),
  },
  {
    name: 'COPY from an image',
    dockerfile: lines('FROM scratch', 'COPY --from=busybox /etc/passwd /p', 'COPY --from=busybox /etc /e'),
    differs: { classic: { why: 'images on scratch have / as their WorkingDir, as in BuildKit', in: ['config.WorkingDir'] } },
  },
  { name: 'ADD of files', dockerfile: lines('FROM busybox', 'ADD f d /n/', 'ADD not-a.tar.gz /not/', 'ADD e /e') },
  { name: 'ADD of archives', dockerfile: lines('FROM busybox', 'ADD t.tar /plain', 'ADD t.tar.gz /zipped/', 'ADD t.tar.gz f /both/') },
  { name: 'ADD --chown', dockerfile: lines('FROM busybox', 'ADD --chown=7:8 f /f', 'ADD --chown=7:8 d /d') },
  {
    name: 'ADD of an archive over what is there',
    dockerfile: lines('FROM busybox', 'RUN mkdir -p /o/in && echo old > /o/in/file && echo stays > /o/in/stays', 'ADD t.tar /o'),
  },
  {
    name: 'stages',
    dockerfile: lines(
      'FROM busybox AS a',
      'ENV A=1',
      'RUN echo a > /a',
      'FROM a AS b',
      'RUN echo $A > /b',
      'FROM b',
      'ENV C=3',
      'RUN cat /a /b > /c',
    ),
  },
  {
    name: 'a target',
    dockerfile: lines('FROM busybox AS a', 'RUN echo a > /a', 'CMD ["a"]', 'FROM a', 'RUN false'),
    query: { target: 'a' },
  },
  {
    name: 'ONBUILD',
    dockerfile: lines(
      'FROM busybox AS base',
      'ONBUILD COPY f /triggered',
      'ONBUILD RUN echo $V > /ran',
      'ONBUILD ENV T=1',
      'ENV V=v',
      'FROM base',
      'RUN echo own > /own',
      'LABEL l=1',
    ),
  },
  {
    name: 'scratch',
    dockerfile: lines('FROM scratch', 'COPY f /', 'COPY d /d', 'CMD ["/f"]'),
    differs: { classic: { why: 'images on scratch have / as their WorkingDir, as in BuildKit', in: ['config.WorkingDir'] } },
  },
  { name: 'escape', dockerfile: lines('# escape=`', 'FROM busybox', 'RUN echo one `', '  two > /o', 'ENV A=C:\\x') },
  { name: 'small letters and CRLF', dockerfile: 'from busybox\r\nenv A=1\r\nrun echo hello \\\r\n  world > /o\r\ncopy f /f\r\n' },
  {
    name: '.dockerignore',
    dockerfile: lines('FROM busybox', 'COPY . /all'),
    files: { '.dockerignore': 'Dockerfile\n.dockerignore\nd\n!d/b\n' },
    differs: {
      classic: { why: 'COPY keeps setuid and setgid, as in BuildKit', in: ['all/setuid'] },
      buildkit: {
        why: 'owners of a tar stay there, and its .dockerignore is not looked at',
        in: ['all/secret-ish', 'all/.dockerignore', 'all/Dockerfile'],
      },
    },
  },
  {
    name: 'another Dockerfile',
    dockerfile: lines('FROM busybox'),
    files: { 'sub/Other.Dockerfile': lines('FROM busybox', 'COPY sub /sub') },
    query: { dockerfile: 'sub/Other.Dockerfile' },
  },
  {
    name: 'squash is no part of it, nocache is',
    dockerfile: lines('FROM busybox', 'RUN echo 1 > /1', 'RUN rm /1'),
    query: { nocache: '1' },
  },
  {
    name: 'buildkit: mounts',
    only: 'buildkit',
    dockerfile: lines(
      'FROM busybox AS one',
      'RUN mkdir /o && echo one > /o/f',
      'FROM busybox',
      'RUN --mount=type=bind,from=one,source=/o,target=/mnt/one cat /mnt/one/f > /copied; echo lost > /mnt/one/x || true',
      'RUN --mount=type=bind,source=d,target=/mnt/d,rw cat /mnt/d/b/c > /c && echo lost > /mnt/d/new && echo lost > /mnt/d/a',
      'RUN --mount=type=cache,target=/cache echo cached > /cache/f && cp /cache/f /from-cache',
      'RUN --mount=type=tmpfs,target=/tmpfs echo t > /tmpfs/f && cp /tmpfs/f /from-tmpfs',
    ),
    differs: {
      buildkit: {
        why: 'mount points that were made for a RUN are no part of its layer; those of this BuildKit are',
        in: ['cache', 'mnt', 'mnt/d', 'mnt/one', 'tmpfs'],
      },
    },
  },
  {
    name: 'buildkit: --chmod',
    only: 'buildkit',
    dockerfile: lines(
      'FROM busybox',
      'COPY --chmod=700 f /f',
      'COPY --chmod=0644 d /d',
      'COPY --chmod=755 --chown=1:2 x.sh g /made/',
      'ADD --chmod=600 e /e',
    ),
    differs: {
      buildkit: { why: '--chmod reaches the directory that is made and the sticky bit, as in BuildKit since', in: ['d', 'd/empty', 'e'] },
    },
  },
  {
    name: 'buildkit: only what is needed is built',
    only: 'buildkit',
    dockerfile: lines(
      'FROM no-such-image.invalid/x AS never',
      'RUN false',
      'FROM busybox AS failing',
      'RUN false',
      'FROM busybox',
      'LABEL a=b',
    ),
  },
  {
    name: 'buildkit: automatic arguments',
    only: 'buildkit',
    dockerfile: lines(
      'FROM --platform=$BUILDPLATFORM busybox',
      'ARG TARGETPLATFORM',
      'ARG TARGETARCH',
      'ARG BUILDOS',
      'RUN echo $TARGETPLATFORM $TARGETARCH $BUILDOS > /o',
      'LABEL a=$TARGETARCH',
    ),
  },
  {
    name: 'buildkit: modes and owners of directories that are there',
    only: 'buildkit',
    dockerfile: lines(
      'FROM busybox',
      'RUN mkdir -p /t/b /t/empty && chmod 711 /t /t/b && chown 3:4 /t /t/b && echo old > /t/a && chown 3:4 /t/a',
      'COPY d /t',
      'COPY --chown=5:6 e /t',
    ),
  },
  {
    name: 'buildkit: mounts leave nothing where they were',
    only: 'buildkit',
    dockerfile: lines(
      'FROM busybox',
      'RUN --mount=type=cache,target=/var/cache/deep/er true',
      'RUN --mount=type=tmpfs,target=/bin/sub --mount=type=bind,source=f,target=/etc/mounted cat /etc/mounted > /o',
    ),
    differs: {
      buildkit: {
        why: 'mount points that were made for a RUN are no part of its layer; those of this BuildKit are',
        in: ['bin/sub', 'var/cache', 'var/cache/deep', 'var/cache/deep/er'],
      },
    },
  },
];
