import assert from 'node:assert/strict';
import test from 'node:test';
import { extraAttributes, lineAttributes } from './log-attributes.ts';
import { renderTag } from './log-tag.ts';
import { subject } from './receivers.ts';

test('renderTag: fields, text around them, functions', () => {
  assert.equal(renderTag('{{.ImageName}}/{{ .Name }}-{{.ID}}', subject), 'busybox/web-abcdef012345');
  assert.equal(renderTag('{{.ImageID}} {{.DaemonName}}', subject), '123456781234 docker');
  assert.equal(renderTag('{{upper .Name}} {{.Name | upper | lower}} {{truncate .FullID 3}}', subject), 'WEB web abc');
  assert.equal(renderTag('{{index .ContainerLabels "tier"}}', subject), 'front');
  assert.throws(() => renderTag('{{.Nope}}', subject), /can't evaluate field Nope/);
  assert.throws(() => renderTag('{{.Name', subject), /unclosed action/);
  assert.throws(() => renderTag('{{frob .Name}}', subject), /function "frob" not defined/);
});

test('extraAttributes: by name and by pattern', () => {
  assert.deepEqual(extraAttributes({ labels: 'tier,nope', 'env-regex': '^S' }, subject), { tier: 'front', STAGE: 'test', SECRET: '1' });
  assert.deepEqual(lineAttributes({ 'labels-regex': 'o', tag: '{{.Name}}' }, subject), { other: 'x', tag: 'web' });
  assert.throws(() => extraAttributes({ 'labels-regex': '(' }, subject), /error parsing regexp/);
});
