import assert from 'node:assert/strict';
import test from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import { defaultContainerConfig, defaultHostConfig } from './config-defaults.ts';
import { type LinkTarget, linkNames, linkVariables, parseLink, resolveLinks } from './links.ts';

function target(name: string, more: Partial<LinkTarget> = {}): LinkTarget {
  return {
    id: `id-${name}` as ContainerId,
    name,
    config: defaultContainerConfig({ Hostname: 'abc' }),
    hostConfig: defaultHostConfig(),
    ...more,
  };
}

test('parseLink: name, name and alias, and the form that inspect shows', () => {
  assert.deepEqual(parseLink('db'), { name: 'db', alias: 'db' });
  assert.deepEqual(parseLink('db:data'), { name: 'db', alias: 'data' });
  assert.deepEqual(parseLink('/db:/web/data'), { name: 'db', alias: 'data' });
  for (const wrong of ['a:b:c', ':a', 'a:', '']) assert.throws(() => parseLink(wrong), { message: `bad format for links: ${wrong}` });
});

test('resolveLinks: containers by id, those that share a network by whose it is, none on user networks', () => {
  const targets = [
    target('db'),
    target('side', { hostConfig: defaultHostConfig({ NetworkMode: 'container:db' }) }),
    target('host', { hostConfig: defaultHostConfig({ NetworkMode: 'host' }) }),
  ];
  const find = (reference: string) => targets.find(({ name }) => name === reference) ?? null;
  const resolve = (links: string[], mode = 'default') => resolveLinks(defaultHostConfig({ Links: links, NetworkMode: mode }), find);
  assert.deepEqual(resolve(['db:x', 'side']), [
    { containerId: 'id-db', alias: 'x' },
    { containerId: 'id-db', alias: 'side' },
  ]);
  assert.deepEqual(resolve(['nobody'], 'net1'), []);
  assert.throws(() => resolve(['nobody']), { code: 'invalid', message: 'could not get container for nobody: No such container: nobody' });
  assert.throws(() => resolve(['host']), /host type networking can't be used with links/);
});

test('linkVariables: what dockerd 20.10 makes of the same link', () => {
  const db = target('db', {
    config: defaultContainerConfig({ Env: ['FOO=bar', 'HOME=/x', 'PATH=/y', 'EMPTY'], ExposedPorts: { '80/tcp': {}, '53/udp': {} } }),
  });
  assert.deepEqual(linkVariables('web', { alias: 'my-db', target: db, endpoint: { ipv4: '172.17.0.2', ipv6: '' } }), [
    'MY_DB_PORT=udp://172.17.0.2:53',
    'MY_DB_PORT_53_UDP=udp://172.17.0.2:53',
    'MY_DB_PORT_53_UDP_ADDR=172.17.0.2',
    'MY_DB_PORT_53_UDP_PORT=53',
    'MY_DB_PORT_53_UDP_PROTO=udp',
    'MY_DB_PORT_80_TCP=tcp://172.17.0.2:80',
    'MY_DB_PORT_80_TCP_ADDR=172.17.0.2',
    'MY_DB_PORT_80_TCP_PORT=80',
    'MY_DB_PORT_80_TCP_PROTO=tcp',
    'MY_DB_NAME=/web/my-db',
    'MY_DB_ENV_FOO=bar',
  ]);
});

test('linkNames: alias, hostname, and the name where it is another', () => {
  const endpoint = { ipv4: '', ipv6: '' };
  assert.deepEqual(linkNames({ alias: 'x', target: target('db'), endpoint }), ['x', 'abc', 'db']);
  assert.deepEqual(linkNames({ alias: 'db', target: target('db'), endpoint }), ['db', 'abc']);
});
