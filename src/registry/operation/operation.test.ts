import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { type AuditLine, AuditLog, formatAuditLine } from './audit-log.ts';
import { HealthChecks, writableFolder } from './health.ts';
import { Counter, Histogram } from './metrics.ts';

const line = (more: Partial<AuditLine> = {}): AuditLine => ({
  time: new Date(0),
  user: 'alice',
  address: '192.0.2.1',
  userAgent: 'skopeo',
  action: 'push',
  repository: 'a',
  digest: 'sha256:0',
  tag: 'v1',
  bytes: 3,
  status: 201,
  ...more,
});

describe('AuditLog', () => {
  it('SEC-32: whatever a client says is one line, with nothing that a terminal obeys', () => {
    const text = formatAuditLine(line({ userAgent: 'x\n{"user":"forged"}\r\u001b[2J\u009b31m\u2028\u202e\u007f' }));
    assert.equal(text.split('\n').length, 2);
    assert.doesNotMatch(text.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
    assert.match(JSON.parse(text).userAgent, /^x\n\{"user":"forged"\}/);
    assert.equal(formatAuditLine(line({ userAgent: 'y'.repeat(5000) })).length < 600, true);
  });

  it('writes in order, and goes on in a new file when it is told to', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'audit-'));
    const path = join(directory, 'audit.log');
    const log = await AuditLog.open(path, silentLogger);
    for (const tag of ['a', 'b']) log.write(line({ tag }));
    await rename(path, `${path}.1`);
    await log.reopen();
    log.write(line({ tag: 'c' }));
    await log.close();
    const tags = async (file: string) =>
      (await readFile(file, 'utf8'))
        .trim()
        .split('\n')
        .map((text) => JSON.parse(text).tag);
    assert.deepEqual([await tags(`${path}.1`), await tags(path)], [['a', 'b'], ['c']]);
    await rm(directory, { recursive: true });
  });
});

it('metrics are what Prometheus reads', () => {
  const counter = new Counter('requests_total', 'Requests.');
  counter.add({ method: 'GET' });
  counter.add({ method: 'GET' }, 2);
  counter.add({ method: 'a"b\\c\nd' });
  assert.equal(
    counter.text(),
    '# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{method="GET"} 3\nrequests_total{method="a\\"b\\\\c\\nd"} 1\n',
  );
  const histogram = new Histogram('seconds', 'Times.', [0.1, 1]);
  for (const value of [0.05, 0.5, 5]) histogram.observe({ route: 'blob' }, value);
  assert.equal(
    histogram.text(),
    '# HELP seconds Times.\n# TYPE seconds histogram\nseconds_bucket{route="blob",le="0.1"} 1\nseconds_bucket{route="blob",le="1"} 2\n' +
      'seconds_bucket{route="blob",le="+Inf"} 3\nseconds_sum{route="blob"} 5.55\nseconds_count{route="blob"} 3\n',
  );
});

describe('HealthChecks', () => {
  it('looks for real, once for many who ask, and names what fails', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'health-'));
    let looks = 0;
    const counting = { name: 'database', look: async () => void looks++ };
    const healthy = new HealthChecks([writableFolder(directory), counting], silentLogger);
    const answers = await Promise.all(Array.from({ length: 50 }, () => healthy.look()));
    assert.deepEqual([answers[49], looks], [{ kind: 'healthy' }, 1]);
    await rm(directory, { recursive: true });
    const failing = new HealthChecks([writableFolder(directory), counting], silentLogger);
    assert.deepEqual(await failing.look(), { kind: 'failing', checks: ['storage'] });
  });
});
