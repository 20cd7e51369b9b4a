import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parsePlatform } from '../../oci/platform.ts';
import { whyNotPlatform } from './foreign-platforms.ts';

const magic = (machine: string) => `7f454c460201010000000000000000000200${machine}`;

function handlers(context: TestContext, entries: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'g-binfmt-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries({ status: 'enabled\n', register: '', ...entries })) writeFileSync(join(directory, name), text);
  return directory;
}

const handler = (machine: string, flags = 'OCF', state = 'enabled') =>
  `${state}\ninterpreter /usr/libexec/qemu-binfmt/x-binfmt-P\nflags: ${flags}\noffset 0\nmagic ${magic(machine)}\nmask ffffffffffffff00\n`;

test("whyNotPlatform: this machine's own runs, whatever is registered", () => {
  assert.equal(whyNotPlatform(parsePlatform('linux/amd64'), '/nowhere', 'amd64'), null);
  assert.equal(whyNotPlatform(parsePlatform('linux/386'), '/nowhere', 'amd64'), null);
  assert.match(whyNotPlatform(parsePlatform('windows/amd64'), '/nowhere', 'amd64') ?? '', /run on Linux only/);
});

test('whyNotPlatform: another one needs a handler that works in a container', (context) => {
  const arm = parsePlatform('linux/arm64');
  const why = (entries: Readonly<Record<string, string>>) => whyNotPlatform(arm, handlers(context, entries), 'amd64');
  assert.equal(why({ 'qemu-aarch64': handler('b700'), python3: 'enabled\ninterpreter /p\nflags: \noffset 0\nmagic cb0d0d0a\n' }), null);
  assert.match(why({ 'qemu-arm': handler('2800') }) ?? '', /no handler of binfmt_misc is registered.*apt-get install qemu-user-static/);
  assert.match(why({ mine: handler('b700', 'O') }) ?? '', /the handler mine of binfmt_misc is registered without the flag F/);
  assert.match(why({ 'qemu-aarch64': handler('b700', 'OCF', 'disabled') }) ?? '', /no handler/);
  assert.match(whyNotPlatform(arm, '/nowhere', 'amd64') ?? '', /binfmt_misc is not mounted/);
});
