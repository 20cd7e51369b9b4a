import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDaemonLog } from './daemon-log.ts';

function logged(logFormat: 'text' | 'json', write: (log: ReturnType<typeof createDaemonLog>) => void): string {
  let text = '';
  write(
    createDaemonLog({ logFormat, logLevel: 'info' }, (line) => {
      text += line;
    }),
  );
  return text;
}

describe('SEC-32 the daemon log', () => {
  const forged = 'x\n{"level":"error"}\u001b[31m\u009b';

  it('is one JSON record an event', () => {
    const text = logged('json', (log) => log.warn({ name: forged }, forged));
    assert.equal(text.split('\n').length, 2);
    const { level, msg, name, time } = JSON.parse(text);
    assert.deepEqual([level, msg, name], ['warn', forged, forged]);
    assert.match(time, /^\d{4}-\d{2}-\d{2}T.*Z$/);
  });

  it('is one line of text an event, without control characters', () => {
    const text = logged('text', (log) => log.info({ name: forged, count: 3, path: '/a' }, forged));
    assert.match(text, /^\S+Z INFO {2}x\\u000a\{"level":"error"\}\\u001b\[31m\\u009b name="x\\n.*" count=3 path=\/a\n$/);
    assert.doesNotMatch(text.slice(0, -1), /[\u0000-\u001f\u007f-\u009f]/);
  });

  it('leaves out what is below its level', () =>
    assert.equal(
      logged('text', (log) => log.debug({}, 'x')),
      '',
    ));
});
