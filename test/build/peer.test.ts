/**
 * Dockerfiles built by us and by the peer (Debian's docker 20.10, both of its builders; as recorded by record-peer.ts, `npm run soak` asks it anew): the same file tree and config, but for the differences that
 * peer-cases.ts lists with their reasons. Needs root and busybox-static.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { buildAll, differences, type Outcome, type Recorded } from './compare-builds.ts';
import { peerCases } from './peer-cases.ts';

const recorded: Readonly<Record<string, Recorded>> = JSON.parse(
  readFileSync(new URL('./recorded/peer-builds.json', import.meta.url), 'utf8'),
);
const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('Dockerfiles give what the peer makes of them', { skip }, () => {
  let daemon: GantryDaemon;
  let ours: ReadonlyMap<string, Outcome>;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    ours = await buildAll(daemon.host, peerCases, { atOnce: 3 });
  });

  after(() => daemon?.dispose());

  for (const { name, dockerfile, differs = {} } of peerCases) {
    test(name, () => {
      const theirs = recorded[name];
      const mine = ours.get(name);
      assert.ok(theirs?.dockerfile === dockerfile, 'the recording is of another file: run test/build/record-peer.ts');
      assert.ok(mine);
      for (const builder of ['classic', 'buildkit'] as const) {
        const outcome = theirs[builder];
        if (outcome === null) continue;
        const found = differences(mine, outcome);
        const listed = differs[builder]?.in ?? [];
        const unlisted = [...found].filter(([key]) => !listed.includes(key)).map(([key, text]) => `${key}: ${text}`);
        assert.deepEqual(unlisted, [], `differs from ${builder}`);
        const equal = listed.filter((key) => !found.has(key));
        assert.deepEqual(equal, [], `listed as different from ${builder}, and equal`);
      }
    });
  }
});
