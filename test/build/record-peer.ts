/**
 * Builds all cases by the peer and writes down what it made (recorded/peer-builds.json), for peer.test.ts: the peer takes long for each, and answers the same every time. `npm run soak` compares the
 * recording with a peer that runs. After a change of peer-cases.ts: `node test/build/record-peer.ts`.
 */
import { writeFileSync } from 'node:fs';
import { loadBusybox } from '../harness/images.ts';
import { startPeer } from '../harness/peer.ts';
import { askPeer } from './compare-builds.ts';
import { peerCases } from './peer-cases.ts';

const peer = await startPeer();
try {
  await loadBusybox(peer.host);
  const recorded = await askPeer(peer.host, peerCases);
  writeFileSync(new URL('./recorded/peer-builds.json', import.meta.url), `${JSON.stringify(recorded, null, 1)}\n`);
} finally {
  await peer.stop();
}
