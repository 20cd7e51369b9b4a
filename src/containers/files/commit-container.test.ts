import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerConfig } from '../config.ts';
import { committedConfig } from './commit-container.ts';

const own: ContainerConfig = {
  Hostname: 'h',
  Domainname: '',
  User: 'user',
  AttachStdin: false,
  AttachStdout: true,
  AttachStderr: true,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: ['PATH=/bin', 'A=1'],
  Cmd: ['run'],
  Image: 'busybox',
  Volumes: {},
  WorkingDir: '/w',
  Entrypoint: ['/entry'],
  Labels: { l: '1' },
  ExposedPorts: { '80/tcp': {} },
};

test("committedConfig: the container's own, less what says nothing", () => {
  const config = committedConfig(own, { config: null, changes: [] });
  assert.deepEqual(JSON.parse(JSON.stringify(config)), {
    Hostname: 'h',
    User: 'user',
    AttachStdout: true,
    AttachStderr: true,
    Image: 'busybox',
    WorkingDir: '/w',
    ExposedPorts: { '80/tcp': {} },
    Env: ['PATH=/bin', 'A=1'],
    Cmd: ['run'],
    Entrypoint: ['/entry'],
    Labels: { l: '1' },
  });
});

test('committedConfig: changes win; a new entry point drops the command', () => {
  const config = committedConfig(own, { config: null, changes: ['ENV A=2', 'ENTRYPOINT ["/other"]', 'LABEL m=2', 'USER 5'] });
  assert.deepEqual(
    [config.Env, config.Entrypoint, config.Cmd, config.Labels, config.User],
    [['PATH=/bin', 'A=2'], ['/other'], undefined, { l: '1', m: '2' }, '5'],
  );
});

test('committedConfig: a body of its own is filled from the container', () => {
  const body: ContainerConfig = { ...own, User: '', Env: ['Z=1'], Cmd: ['a'], Entrypoint: null, Labels: { q: 'r' }, WorkingDir: '' };
  const config = committedConfig(own, { config: body, changes: [] });
  assert.deepEqual(
    [config.Env, config.Cmd, config.Labels, config.User, config.WorkingDir],
    [['Z=1', 'PATH=/bin', 'A=1'], ['a'], { l: '1', q: 'r' }, 'user', '/w'],
  );
});
