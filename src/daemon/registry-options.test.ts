import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { defaultRegistrySettings } from '../distribution/registry-client.ts';
import { readDaemonOptions } from './daemon-options.ts';
import { maskedUrl } from './registry-options.ts';
import { reloadOptions } from './reload.ts';
import { liveFacts, reloadAttributes } from './system-facts-of-host.ts';

let directory = '';
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'g-registries-'));
});
after(() => rmSync(directory, { recursive: true }));

const read = (argv: readonly string[], environment: NodeJS.ProcessEnv = {}) => {
  const options = readDaemonOptions(argv, environment);
  assert.ok(typeof options === 'object');
  return options;
};
const settings = (...argv: readonly string[]) => read(argv).registries.settings;

function file(config: object): readonly string[] {
  const path = join(directory, 'daemon.json');
  writeFileSync(path, JSON.stringify(config));
  return ['--config-file', path];
}

describe('registryOptions', () => {
  it("has the client's defaults and dockerd's", () => {
    const { registries } = read([]);
    assert.deepEqual(registries, { settings: defaultRegistrySettings, maxConcurrentDownloads: 3, maxConcurrentUploads: 5 });
  });

  it('reads flags', () => {
    const { mirrors, insecure, prefixMirrors, allowedRealms, certificateDirectories } = settings(
      ...['--registry-mirror', 'https://one.example', '--registry-mirror=http://two.example:5000/path/'],
      ...['--insecure-registry', 'Reg.example:5000', '--insecure-registry', '10.1.2.3/8', '--insecure-registry', 'https://[fd00::1]:443'],
      ...['--registry-prefix-mirror', 'quay.io=https://m1/', '--registry-prefix-mirror', 'quay.io/team/x=https://m2/quay'],
      ...['--registry-prefix-mirror', 'quay.io=https://m3', '--registry-prefix-mirror', 'index.docker.io/library=https://m4'],
      ...['--registry-allowed-realm', 'reg.example:5000=auth.example', '--registry-certs-dir', '/a'],
    );
    assert.deepEqual(mirrors, ['https://one.example/', 'http://two.example:5000/path/']);
    assert.deepEqual(insecure, ['reg.example:5000', '10.0.0.0/8', '[fd00::1]:443']);
    assert.deepEqual(prefixMirrors, [
      { prefix: 'docker.io/library', urls: ['https://m4/'] },
      { prefix: 'quay.io/team/x', urls: ['https://m2/quay/'] },
      { prefix: 'quay.io', urls: ['https://m1/', 'https://m3/'] },
    ]);
    assert.deepEqual(allowedRealms, { 'reg.example:5000': ['auth.example'] });
    assert.deepEqual(certificateDirectories, ['/a']);
  });

  it("reads the configuration file, with dockerd's shape of proxies", () => {
    const options = read(
      file({
        'registry-mirrors': ['https://m.example'],
        'insecure-registries': ['r:5000'],
        'max-concurrent-downloads': 7,
        'max-concurrent-uploads': 0,
        'max-download-attempts': 2,
        proxies: { 'http-proxy': 'p:3128', 'https-proxy': 'https://u:secret@p:3129/', 'no-proxy': 'a.example, .b.example,10.0.0.0/8' },
        'registry-prefix-mirrors': { 'quay.io': ['https://m1'] },
        'registry-allowed-realms': { 'quay.io': ['auth.example'] },
        'registry-certs-dirs': ['/c', '/d'],
      }),
    );
    assert.deepEqual(options.registries, {
      settings: {
        ...defaultRegistrySettings,
        mirrors: ['https://m.example/'],
        insecure: ['r:5000'],
        prefixMirrors: [{ prefix: 'quay.io', urls: ['https://m1/'] }],
        allowedRealms: { 'quay.io': ['auth.example'] },
        certificateDirectories: ['/c', '/d'],
        proxies: { http: 'http://p:3128', https: 'https://u:secret@p:3129', noProxy: ['a.example', '.b.example', '10.0.0.0/8'] },
        maxAttempts: 2,
      },
      maxConcurrentDownloads: 7,
      maxConcurrentUploads: 5,
    });
  });

  it('takes proxies from the environment where no option names one, upper case first', () => {
    const environment = { HTTP_PROXY: 'http://one:1', http_proxy: 'http://two:2', https_proxy: 'http://three:3', NO_PROXY: 'x' };
    assert.deepEqual(read([], environment).registries.settings.proxies, { http: 'http://one:1', https: 'http://three:3', noProxy: ['x'] });
    assert.equal(read(['--http-proxy', 'http://four:4'], environment).registries.settings.proxies.http, 'http://four:4');
  });

  const refusals: readonly (readonly [argv: readonly string[], says: RegExp])[] = [
    [['--registry-mirror', 'mirror.example'], /--registry-mirror: "mirror\.example" invalid mirror: must use either 'https:\/\/' or/],
    [['--registry-mirror', 'https://m/?q=1'], /query or fragment at end of the URI/],
    [['--registry-mirror', 'https://u:hunter2@m/'], /"https:\/\/xxxxx:xxxxx@m\/" invalid mirror: username\/password not allowed/],
    [['--insecure-registry', 'a_b'], /--insecure-registry: "a_b" is no HOST, HOST:PORT or CIDR/],
    [['--insecure-registry', 'r:70000'], /is no HOST/],
    [['--insecure-registry', 'r/path'], /is no HOST/],
    [['--insecure-registry', 'docker.io'], /always asked over verified TLS/],
    [['--max-concurrent-downloads', '-1'], /invalid max concurrent downloads: -1/],
    [['--max-download-attempts', '0'], /invalid max download attempts: 0/],
    [['--max-concurrent-uploads', 'x'], /--max-concurrent-uploads: "x" is not a whole number/],
    [['--registry-prefix-mirror', 'library=https://m'], /does not begin with a registry/],
    [['--registry-prefix-mirror', 'quay.io/Team=https://m'], /is no beginning of an image name/],
    [['--registry-prefix-mirror', 'quay.io'], /is not PREFIX=URL/],
    [['--registry-allowed-realm', 'quay.io=https://a'], /is not REGISTRY=HOST/],
    [['--registry-certs-dir', 'certs'], /not an absolute path/],
    [['--https-proxy', 'socks5://u:hunter2@p'], /--https-proxy: "socks5:\/\/xxxxx:xxxxx@p" names a proxy of the kind socks5/],
    [['--http-proxy', 'http://u:hunter2@'], /is no address of a proxy/],
  ];
  for (const [argv, says] of refusals) {
    it(`refuses ${argv.join(' ')}, telling where and no password`, () => {
      assert.throws(
        () => read(argv),
        (error: Error) => says.test(error.message) && !error.message.includes('hunter2'),
      );
    });
  }

  it('says which key of the file, or which variable of the environment, is wrong', () => {
    assert.throws(() => read(file({ proxies: { 'ftp-proxy': 'x' } })), /has an unknown key: proxies\.ftp-proxy/);
    assert.throws(() => read(file({ proxies: [] })), /daemon\.json: proxies must be an object/);
    assert.throws(() => read(file({ 'proxies.http-proxy': 'x' })), /has an unknown key: proxies\.http-proxy/);
    assert.throws(() => read(file({ 'registry-prefix-mirrors': { 'quay.io': 'x' } })), /registry-prefix-mirrors must be an object: lists/);
    assert.throws(() => read([...file({ proxies: { 'http-proxy': 'x' } }), '--http-proxy', 'y']), /both as a flag .*http-proxy/);
    assert.throws(() => read([], { https_proxy: 'socks5://x' }), /https_proxy in the environment of the daemon/);
  });

  it('is taken over by a reload, and told by info and the event', () => {
    const argv = file({});
    const before = read(argv);
    file({
      'registry-mirrors': ['https://m'],
      'insecure-registries': ['r:1', '10.0.0.0/8'],
      proxies: { 'http-proxy': 'http://u:hunter2@p:1' },
    });
    const { options, applied, needRestart } = reloadOptions(argv, before);
    assert.deepEqual([applied, needRestart], [['http-proxy', 'insecure-registry', 'registry-mirror'], []]);
    assert.deepEqual(liveFacts(options).registries, {
      mirrors: ['https://m/'],
      insecureHosts: ['r:1'],
      insecureSubnets: ['10.0.0.0/8'],
      httpProxy: 'http://xxxxx:xxxxx@p:1',
      httpsProxy: '',
      noProxy: '',
    });
    assert.equal(reloadAttributes(options, 'h')['insecure-registries'], '["r:1","10.0.0.0/8"]');
  });
});

it('maskedUrl hides who uses a proxy', () => {
  assert.equal(maskedUrl('http://u:p@proxy:3128/x'), 'http://xxxxx:xxxxx@proxy:3128/x');
  assert.equal(maskedUrl('u:p@proxy'), 'xxxxx:xxxxx@proxy');
  assert.equal(maskedUrl('http://proxy:3128/a@b'), 'http://proxy:3128/a@b');
});
