import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isForeignHost } from './host-header.ts';

const own = new Set(['build.example.org']);

test('SEC-30 isForeignHost takes address literals, localhost and our own names', () => {
  for (const header of [
    '127.0.0.1:2375',
    '10.1.2.3',
    '[::1]:2375',
    '[fe80::1]',
    'localhost:2375',
    'LOCALHOST',
    'build.example.org:2376',
    'Build.example.org.',
    undefined,
    '',
  ])
    assert.equal(isForeignHost(header, own), false, String(header));
});

test('SEC-30 isForeignHost refuses every other name', () => {
  for (const header of [
    'evil.example.org',
    'evil.example.org:2375',
    'localhost.evil.org',
    '127.0.0.1.evil.org:2375',
    'example.org',
    'docker',
  ])
    assert.equal(isForeignHost(header, own), true, header);
});
