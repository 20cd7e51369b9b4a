/**
 * The registry's web page in a browser: what images say of themselves runs nothing and looks like text, in light and in dark, behind a password, and by the search form. Needs Debian's
 * chromium.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type AccessControl, openAccess } from '../../src/registry/access.ts';
import { createPageHandler } from '../../src/registry/page/page-handler.ts';
import { FixedRegistry } from '../../src/registry/page/testing/fixed-registry.ts';
import { runCommand } from '../harness/command.ts';

const skip = existsSync('/usr/bin/chromium') ? false : 'needs chromium (apt-get install chromium)';

const attack = '<script>document.title="taken"</script><img src=x onerror="document.title=\'taken\'"><style>body{display:none}</style>';

/** `reader` with `secret`, or nobody. */
const withPassword: AccessControl = {
  decide: async ({ authorization }) =>
    authorization === `Basic ${btoa('reader:secret')}`
      ? { kind: 'granted', user: 'reader' }
      : { kind: 'challenge', challenge: 'Basic realm="the registry"', message: 'log in' },
};

describe('the web page of the registry in a browser', { skip }, () => {
  const profile = mkdtempSync(join(tmpdir(), 'gantry-chromium-'));
  const fixed = new FixedRegistry();
  let open: Server;
  let closed: Server;

  before(async () => {
    fixed.tagImage('team/hostile', 'v1', {
      config: {
        os: 'linux',
        architecture: 'amd64',
        author: attack,
        config: { Labels: { [attack]: attack }, Env: [`X=${attack}`] },
        history: [{ created_by: attack }],
        rootfs: { type: 'layers', diff_ids: [] },
      },
      layers: [Buffer.alloc(2_000_000)],
      annotations: { 'org.opencontainers.image.url': `javascript:document.title='taken'` },
    });
    for (const name of ['team/app', 'tools/lint']) {
      fixed.tagImage(name, 'latest', { config: { rootfs: { type: 'layers', diff_ids: [] } }, layers: [Buffer.alloc(100)] });
    }
    [open, closed] = await Promise.all([serve(openAccess), serve(withPassword)]);
  });
  after(() => {
    open?.close();
    closed?.close();
    rmSync(profile, { recursive: true, force: true });
  });

  async function serve(access: AccessControl): Promise<Server> {
    const server = createServer(createPageHandler({ registry: fixed.registry, access, hasUsers: access !== openAccess }));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  /** What the page is when it has been rendered. */
  async function look(server: Server, path: string, { credentials = '', flags = [] as readonly string[] } = {}): Promise<string> {
    const url = `http://${credentials}127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
    // As root there is no sandbox of the browser's own; what it looks at is ours.
    const own = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-software-rasterizer',
      `--user-data-dir=${profile}`,
      '--disable-background-networking',
    ];
    const { status, stdout, stderr } = await runCommand(['/usr/bin/chromium', ...own, ...flags, url], { timeoutMs: 120_000 });
    assert.equal(status, 0, stderr);
    return stdout;
  }

  test('SEC-32 what an image says of itself is text, whatever it is', async () => {
    const dom = await look(open, '/browse/team/hostile:v1', { flags: ['--dump-dom'] });
    assert.match(dom, /<title>team\/hostile:v1<\/title>/);
    assert.doesNotMatch(dom, /<script|<img/);
    assert.equal(dom.match(/&lt;script&gt;/g)?.length, 6);
    assert.match(dom, /docker pull 127\.0\.0\.1:\d+\/team\/hostile:v1/);
    assert.match(dom, /2 MB/);
  });

  test('finds by a part of the name behind a password, and shows nothing without', async () => {
    const found = await look(closed, '/?q=lint', { credentials: 'reader:secret@', flags: ['--dump-dom'] });
    assert.match(found, /href="\/browse\/tools\/lint"/);
    assert.doesNotMatch(found, /team\/app/);
    const refused = await fetch(`http://127.0.0.1:${(closed.address() as AddressInfo).port}/browse/team/app`);
    assert.deepEqual([refused.status, refused.headers.get('www-authenticate')], [401, 'Basic realm="the registry"']);
    assert.doesNotMatch(await refused.text(), /team/);
  });

  test('is drawn in light and in dark', async () => {
    const picture = join(profile, 'page.png');
    const draw = async (...flags: readonly string[]) => {
      await look(open, '/browse/team/hostile:v1', { flags: [`--screenshot=${picture}`, '--window-size=900,700', ...flags] });
      return readFileSync(picture);
    };
    const light = await draw();
    const dark = await draw('--blink-settings=preferredColorScheme=0');
    assert.ok(light.length > 10_000 && dark.length > 10_000, 'something is drawn');
    assert.ok(!light.equals(dark), 'not the same');
  });
});
