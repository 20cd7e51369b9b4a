import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ContainerId } from '../../base/brand.ts';
import { notFound } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import { createApiServer } from '../api-server.ts';
import { emptyEndpoint } from '../fixtures/fake-networks.ts';
import { containerId, fakeServices } from '../fixtures/fake-services.ts';
import { request, serveOnUnix } from '../fixtures/raw-http.ts';
import { apiRoutes } from '../routes.ts';

async function ask(method: string, url: string, json?: unknown, fake = fakeServices()) {
  const api = createApiServer({ routes: apiRoutes(fake), engineVersion: '0.1.0', logger: silentLogger });
  await using server = await serveOnUnix(api.createListener());
  const options = json === undefined ? {} : { body: JSON.stringify(json), headers: { 'Content-Type': 'application/json' } };
  const answer = await request(server.path, method, url, options);
  return { status: answer.status, json: answer.body === '' ? null : JSON.parse(answer.body) };
}

describe('GET /networks', () => {
  it('shows every version its own fields', async () => {
    const [old] = (await ask('GET', '/v1.41/networks')).json;
    const [current] = (await ask('GET', '/networks')).json;
    assert.deepEqual(Object.keys(old), [
      ...[
        'Name',
        'Id',
        'Created',
        'Scope',
        'Driver',
        'EnableIPv6',
        'IPAM',
        'Internal',
        'Attachable',
        'Ingress',
        'ConfigFrom',
        'ConfigOnly',
      ],
      ...['Containers', 'Options', 'Labels'],
    ]);
    assert.equal(current.EnableIPv4, true);
    assert.equal(current.Created, '2023-11-14T22:13:20.123Z');
    assert.deepEqual(current.IPAM.Config, [{ Subnet: '172.17.0.0/16', Gateway: '172.17.0.1' }]);
  });

  it('lists containers before 1.28 only', async () => {
    assert.deepEqual((await ask('GET', '/v1.28/networks')).json[0].Containers, {});
    assert.deepEqual(Object.keys((await ask('GET', '/v1.27/networks')).json[0].Containers), [containerId]);
  });

  it('hands on filters in both forms', async () => {
    const fake = fakeServices();
    await ask('GET', `/networks?filters=${encodeURIComponent('{"name":{"a":true}}')}`, undefined, fake);
    await ask('GET', `/networks?filters=${encodeURIComponent('{"name":["a"]}')}`, undefined, fake);
    assert.deepEqual(
      fake.networks.asked.map((filters) => filters.name),
      [['a'], ['a']],
    );
    assert.equal((await ask('GET', `/networks?filters=${encodeURIComponent('{"bogus":["a"]}')}`)).json.message, "invalid filter 'bogus'");
  });
});

describe('GET /networks/{id}', () => {
  it('shows who is on it', async () => {
    const { json } = await ask('GET', '/networks/bridge?verbose=1');
    assert.deepEqual(json.Containers[containerId], {
      Name: 'web',
      EndpointID: 'e'.repeat(64),
      MacAddress: '02:42:ac:11:00:02',
      IPv4Address: '172.17.0.2/16',
      IPv6Address: '',
    });
  });

  it('has no network of a swarm', async () => {
    assert.equal((await ask('GET', '/networks/bridge?scope=local')).status, 200);
    assert.equal((await ask('GET', '/networks/bridge?scope=swarm')).status, 404);
    assert.equal((await ask('GET', '/networks/bridge?scope=bogus')).status, 400);
    assert.equal((await ask('GET', '/networks/nope')).json.message, 'network nope not found');
  });
});

describe('POST /networks/create', () => {
  it('normalises what clients of all ages send', async () => {
    const fake = fakeServices();
    const body = {
      Name: 'n',
      CheckDuplicate: true,
      Driver: 'bridge',
      IPAM: { Driver: 'default', Options: null, Config: [{ Subnet: '10.0.0.0/24', Gateway: '', AuxiliaryAddresses: null }, null] },
      ConfigFrom: null,
      EnableIPv4: false,
      EnableIPv6: null,
      Options: { a: 'b' },
      Labels: null,
    };
    assert.deepEqual(await ask('POST', '/networks/create', body, fake), { status: 201, json: { Id: '4'.repeat(64), Warning: '' } });
    assert.deepEqual(fake.networks.created, [
      {
        name: 'n',
        driver: 'bridge',
        internal: false,
        attachable: false,
        ingress: false,
        configOnly: false,
        configFrom: null,
        scope: '',
        enableIPv4: false,
        enableIPv6: null,
        ipam: { driver: 'default', options: {}, config: [{ Subnet: '10.0.0.0/24' }, {}] },
        options: { a: 'b' },
        labels: {},
      },
    ]);
    assert.equal((await ask('POST', '/networks/create', body, fake)).status, 409);
  });

  it('EnableIPv4 means nothing before 1.48', async () => {
    const fake = fakeServices();
    await ask('POST', '/v1.47/networks/create', { Name: 'n', EnableIPv4: false }, fake);
    assert.equal(fake.networks.created[0]?.enableIPv4, null);
  });

  it('SEC-30: takes JSON that says so, and nothing else', async () => {
    const api = createApiServer({ routes: apiRoutes(fakeServices()), engineVersion: '0.1.0', logger: silentLogger });
    await using server = await serveOnUnix(api.createListener());
    for (const path of ['/networks/create', '/networks/bridge/connect', '/volumes/create', '/volumes/v/rename', '/containers/web/ports']) {
      const { status } = await request(server.path, 'POST', path, { body: '{}', headers: { 'Content-Type': 'text/plain' } });
      assert.equal(status, 400, path);
    }
  });
});

describe('connect and disconnect', () => {
  it('pass on the container and its endpoint', async () => {
    const fake = fakeServices();
    const connect = { Container: 'web', EndpointConfig: { IPAMConfig: { IPv4Address: '10.0.0.5', IPv6Address: '' }, Aliases: ['x'] } };
    assert.equal((await ask('POST', '/networks/n/connect', connect, fake)).status, 200);
    assert.equal((await ask('POST', '/networks/n/connect', { Container: 'web' }, fake)).status, 200);
    assert.equal((await ask('POST', '/networks/n/disconnect', { Container: 'web', Force: true }, fake)).status, 200);
    const said = fake.calls.filter((call) => call.includes('connect'));
    assert.match(said[0] ?? '', /^connect web n .*"IPAMConfig":\{"IPv4Address":"10.0.0.5"\},"Links":null,"Aliases":\["x"\]/);
    assert.match(said[1] ?? '', /"IPAMConfig":null/);
    assert.equal(said[2], 'disconnect web n by force');
  });

  it('need a container', async () => {
    assert.match((await ask('POST', '/networks/n/connect', {})).json.message, /Container must name a container/);
    assert.equal((await ask('POST', '/networks/n/connect', { Container: 'nope' })).status, 404);
  });
});

it('DELETE and prune', async () => {
  assert.equal((await ask('DELETE', '/networks/bridge')).status, 403);
  const fake = fakeServices();
  await ask('POST', '/networks/create', { Name: 'a' }, fake);
  await ask('POST', '/networks/create', { Name: 'b' }, fake);
  assert.equal((await ask('DELETE', '/networks/a', undefined, fake)).status, 204);
  assert.deepEqual((await ask('POST', '/networks/prune', undefined, fake)).json, { NetworksDeleted: ['b'] });
  assert.deepEqual((await ask('POST', '/networks/prune', undefined, fake)).json, { NetworksDeleted: null });
});

it('POST /containers/create answers 404 for a missing image only: the docker CLI would pull', async () => {
  const create = (message: string) => {
    const fake = fakeServices();
    fake.containers.create = async () => {
      throw notFound(message);
    };
    return ask('POST', '/containers/create', { Image: 'x' }, fake);
  };
  assert.equal((await create('No such image: x:latest')).status, 404);
  assert.deepEqual(await create('network n not found'), { status: 400, json: { message: 'network n not found' } });
});

describe('ports', () => {
  it('POST /containers/{id}/ports names the changes and answers with what is published now', async () => {
    const fake = fakeServices();
    fake.view = { ...fake.view, ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '32768' }] } };
    const change = { Add: { '80': [{ HostPort: '8080' }, null] }, Remove: { '53/UDP': null } };
    const { status, json } = await ask('POST', '/containers/web/ports', change, fake);
    assert.deepEqual([status, json], [200, { Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '32768' }] } }]);
    assert.equal(
      fake.calls.find((call) => call.startsWith('ports')),
      'ports web {"add":{"80/tcp":[{"HostIp":"","HostPort":"8080"},{"HostIp":"","HostPort":""}]},"remove":{"53/udp":[]}}',
    );
  });

  it('GET /ports tells who exposes what', async () => {
    const fake = fakeServices();
    fake.networks.ports = [
      {
        containerId: containerId as ContainerId,
        containerName: 'web',
        networkName: 'bridge',
        protocol: 'tcp',
        hostIp: '0.0.0.0',
        hostPort: 8080,
        containerIp: '172.17.0.2',
        containerPort: 80,
        how: 'nat',
        reachableFrom: ['host', 'containers', 'network'],
      },
    ];
    const [port] = (await ask('GET', '/ports', undefined, fake)).json;
    assert.equal(port.ContainerName, 'web');
    assert.deepEqual(port.ReachableFrom, ['host', 'containers', 'network']);
  });
});

it('GET /info tells what networks and volumes stand on', async () => {
  const { Plugins, DefaultAddressPools, FirewallBackend } = (await ask('GET', '/info')).json;
  assert.deepEqual([Plugins.Network, Plugins.Volume], [['bridge', 'host', 'null'], ['local']]);
  assert.deepEqual(DefaultAddressPools, [{ Base: '172.16.0.0/12', Size: 24 }]);
  assert.deepEqual(FirewallBackend, { Driver: 'nftables' });
  assert.equal('FirewallBackend' in (await ask('GET', '/v1.48/info')).json, false);
});

describe('the network of a container', () => {
  const endpoint = {
    ...emptyEndpoint,
    networkId: '1'.repeat(64),
    endpointId: 'e'.repeat(64),
    settings: { ...emptyEndpoint.settings, Aliases: ['al'], MacAddress: '02:42:ac:11:00:09', GwPriority: 3 },
    macAddress: '02:42:ac:11:00:09',
    ipv4: '172.17.0.2',
    prefix4: 16,
    gateway4: '172.17.0.1',
    dnsNames: ['web', 'al'],
  };

  function running() {
    const fake = fakeServices();
    fake.view = {
      ...fake.view,
      hostConfig: { ...fake.view.hostConfig, NetworkMode: 'default' },
      networks: { bridge: { ...endpoint, settings: { ...endpoint.settings, Aliases: null } }, mine: endpoint },
      ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }], '443/tcp': null },
      sandboxKey: '/proc/7/ns/net',
      mounts: [{ type: 'volume', name: 'v', driver: 'local', source: '/data', destination: '/d', mode: 'z', rw: true, propagation: '' }],
    };
    return fake;
  }

  it('fills the old scalars from the default bridge', async () => {
    const { NetworkSettings, Config } = (await ask('GET', '/containers/web/json', undefined, running())).json;
    assert.deepEqual(
      [NetworkSettings.IPAddress, NetworkSettings.IPPrefixLen, NetworkSettings.Gateway, NetworkSettings.MacAddress],
      ['172.17.0.2', 16, '172.17.0.1', '02:42:ac:11:00:09'],
    );
    assert.deepEqual([NetworkSettings.SandboxKey, NetworkSettings.SandboxID], ['/proc/7/ns/net', containerId]);
    assert.deepEqual(NetworkSettings.Ports, { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }], '443/tcp': null });
    assert.equal(Config.MacAddress, '02:42:ac:11:00:09');
  });

  it('shows endpoints in the shape of the version', async () => {
    const networks = async (version: string) =>
      (await ask('GET', `/v${version}/containers/web/json`, undefined, running())).json.NetworkSettings.Networks;
    const at41 = await networks('1.41');
    const at48 = await networks('1.48');
    assert.deepEqual(at41.mine.Aliases, ['al', containerId.slice(0, 12)]);
    assert.equal(at41.bridge.Aliases, null);
    assert.equal('DNSNames' in at41.mine || 'GwPriority' in at41.mine, false);
    assert.deepEqual(at48.mine.Aliases, ['al']);
    assert.deepEqual([at48.mine.DNSNames, at48.mine.GwPriority], [['web', 'al'], 3]);
  });

  it('shows the mode as the version knows it', async () => {
    const at41 = (await ask('GET', '/v1.41/containers/web/json', undefined, running())).json.HostConfig;
    const at44 = (await ask('GET', '/v1.44/containers/web/json', undefined, running())).json.HostConfig;
    assert.deepEqual([at41.NetworkMode, at44.NetworkMode], ['default', 'bridge']);
  });

  it('is listed with ports and mounts', async () => {
    const [row] = (await ask('GET', '/containers/json', undefined, running())).json;
    assert.deepEqual(row.Ports, [
      { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' },
      { PrivatePort: 443, Type: 'tcp' },
    ]);
    assert.deepEqual([row.Mounts[0].Name, row.Mounts[0].Source, row.Mounts[0].Driver], ['v', '', 'local']);
    assert.equal(row.NetworkSettings.Networks.mine.IPAddress, '172.17.0.2');
    assert.equal(row.NetworkSettings.Networks.mine.Aliases, null);
  });
});
