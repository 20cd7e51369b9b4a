import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { finalSummary, layerLine, runningSummary } from './transfer-lines.ts';
import { type LayerProgress, Rate, TransferProgress } from './transfer-progress.ts';

const MB = 1_000_000;
const downloading: LayerProgress = {
  id: 'bbbbbbbbbbbb',
  status: 'Downloading',
  state: 'moving',
  current: 5 * MB,
  total: 20 * MB,
  units: '',
  bytesPerSecond: 2 * MB,
};

describe('layerLine', () => {
  it('gives up bar, time left, rate, amounts, in this order', () => {
    assert.equal(
      layerLine(downloading, 100),
      `bbbbbbbbbbbb: Downloading  [${'========>'.padEnd(34)}]      5MB/20MB         2MB/s  8s left`,
    );
    assert.equal(layerLine(downloading, 65), 'bbbbbbbbbbbb: Downloading      5MB/20MB         2MB/s  8s left');
    assert.equal(layerLine(downloading, 58), 'bbbbbbbbbbbb: Downloading      5MB/20MB         2MB/s');
    assert.equal(layerLine(downloading, 45), 'bbbbbbbbbbbb: Downloading      5MB/20MB   ');
    assert.equal(layerLine(downloading, 30), 'bbbbbbbbbbbb: Downloading');
    assert.equal(layerLine(downloading, 10), 'bbbbbbbbb…');
  });

  it('never is wider than the terminal', () => {
    fc.assert(
      fc.property(fc.nat(250), fc.nat(1e12), fc.nat(1e12), fc.option(fc.nat(1e10)), (columns, current, total, bytesPerSecond) => {
        const width = columns + 1;
        assert.ok(layerLine({ ...downloading, current, total, bytesPerSecond }, width).length <= width);
      }),
    );
  });

  it('says how long, or that nothing comes', () => {
    const at = (bytesPerSecond: number | null): string => layerLine({ ...downloading, bytesPerSecond }, 110).replace(/^.*20MB\s*/, '');
    assert.deepEqual([at(null), at(0), at(1)], ['', '0B/s  stalled', '1B/s  stalled']);
    assert.deepEqual([at(100_000), at(2000)], ['100kB/s  2m 30s left', '2kB/s  2h 5m left']);
  });
});

describe('Rate', () => {
  it('is that of the last seconds, and falls when nothing comes', () => {
    const rate = new Rate();
    assert.equal(rate.perSecond(0), null);
    for (let at = 0; at <= 10_000; at += 100) rate.add(at * 1000, at);
    assert.equal(Math.round((rate.perSecond(10_000) ?? 0) / MB), 1);
    for (let at = 10_100; at <= 16_000; at += 100) rate.add(10_000 * 1000 + (at - 10_000) * 3000, at);
    assert.equal(Math.round((rate.perSecond(16_000) ?? 0) / MB), 3);
    assert.ok((rate.perSecond(30_000) ?? 0) < MB);
  });

  it('forgets a try that was given up', () => {
    const rate = new Rate();
    rate.add(50 * MB, 0);
    rate.add(60 * MB, 1000);
    rate.add(0, 2000);
    rate.add(MB, 3000);
    assert.equal(rate.perSecond(3000), MB);
  });
});

describe('summaries', () => {
  function progress(...messages: readonly (readonly [id: string, status: string, current?: number, total?: number])[]): TransferProgress {
    const transfer = new TransferProgress();
    for (const [at, [id, status, current = 0, total = 0]] of messages.entries())
      transfer.accept({ id, status, progressDetail: { current, total } }, at * 1000);
    return transfer;
  }

  it('of a download', () => {
    const half = progress(
      ['a', 'Pulling fs layer'],
      ['b', 'Already exists'],
      ['a', 'Downloading', 0, 10 * MB],
      ['a', 'Downloading', 5 * MB, 10 * MB],
    );
    assert.equal(runningSummary(half.totals(3000), 80), '1/2 layers, 1 reused  5MB of 10MB  5MB/s  1s left');
    assert.equal(runningSummary(half.totals(3000), 30), '1/2 layers, 1 reused'.padEnd(20));
    const done = progress(
      ['a', 'Downloading', 5 * MB, 10 * MB],
      ['b', 'Already exists'],
      ['a', 'Extracting', 1, 10],
      ['a', 'Pull complete'],
    );
    assert.equal(finalSummary(done.totals(9000)), 'Downloaded 10MB in 3.0s (3.33MB/s); 1 of 2 layers was here already');
    assert.equal(finalSummary(progress(['a', 'Already exists'], ['b', 'Already exists']).totals(0)), 'All 2 layers were here already');
    assert.equal(finalSummary(progress(['a', 'Pulling fs layer'], ['a', 'Pull complete']).totals(0)), 'Downloaded 1 layer in 1.0s');
  });

  it('of an upload', () => {
    const pushed = progress(
      ['a', 'Preparing'],
      ['b', 'Preparing'],
      ['c', 'Preparing'],
      ['a', 'Pushing', MB, 2 * MB],
      ['b', 'Layer already exists'],
      ['c', 'Mounted from x'],
      ['a', 'Pushed'],
    );
    assert.equal(finalSummary(pushed.totals(0)), 'Uploaded 2MB in 6.0s (333kB/s); 2 of 3 layers were there already');
  });

  it('of a load there is none', () => {
    assert.equal(finalSummary(progress(['a', 'Loading layer', 5, 10]).totals(0)), '');
  });
});
