import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseOrExplain } from '../format/row-format.ts';
import { indentJson } from './indent-json.ts';
import { executeDocument } from './show-objects.ts';

describe('indentJson', () => {
  it('keeps numbers, escapes and order', () => {
    assert.equal(
      indentJson('{"b":12345678901234567890,"1":"\\u003c","a":[],"c":{ },"d":[1,{"e":null}]}'),
      '{\n    "b": 12345678901234567890,\n    "1": "\\u003c",\n    "a": [],\n    "c": {},\n    "d": [\n        1,\n        {\n            "e": null\n        }\n    ]\n}',
    );
  });
  it('agrees with JSON.stringify', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => assert.equal(indentJson(JSON.stringify(value)), JSON.stringify(value, null, 4))));
  });
});

describe('inspect templates', () => {
  const document = JSON.stringify({
    Id: 'abc',
    State: { Running: true, Status: 'running' },
    Config: { Labels: { a: 'b' }, Entrypoint: null, Env: ['A=1'], Volumes: null, Healthcheck: { Interval: 90_000_000_000 } },
    Mounts: [
      { Type: 'volume', Name: 'v', Driver: 'local', RW: true },
      { Type: 'bind', RW: false },
    ],
    HostConfig: { Binds: null, PidsLimit: null, CpuShares: 5 },
    NetworkSettings: { Ports: { '80/tcp': null, '81/tcp': [{ HostPort: '8081' }] }, Networks: { none: { IPAddress: '' } } },
  });
  const cases: readonly (readonly [string, string])[] = [
    ['{{.Id}} {{.ID}} {{.HostConfig.CPUShares}}', 'abc abc 5'],
    ['{{.Config.Entrypoint}} {{.HostConfig.Binds}} {{.Config.Volumes}} {{.HostConfig.PidsLimit}}', '[] [] map[] <nil>'],
    ['{{.Config.Labels.nope}} [{{index .Config.Labels "nope"}}]', '<no value> []'],
    ['{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}', 'none'],
    ['{{range $p, $b := .NetworkSettings.Ports}}{{$p}}={{range $b}}{{.HostPort}}{{end}};{{end}}', '80/tcp=;81/tcp=8081;'],
    ['{{(index (index .NetworkSettings.Ports "81/tcp") 0).HostPort}}', '8081'],
    ['{{range .Mounts}}[{{.Name}} {{.Driver}} {{.RW}}]{{end}}', '[v local true][  false]'],
    ['{{.Config.Healthcheck.Retries}} {{.Config.Healthcheck.Interval}}', '0 1m30s'],
    ['{{json .State}}', '{"Running":true,"Status":"running"}'],
  ];
  for (const [source, text] of cases) it(source, () => assert.equal(executeDocument(parseOrExplain(source), document), text));
  it('names a field that is not there', () =>
    assert.throws(() => executeDocument(parseOrExplain('{{.Nope}}'), document), /map has no entry for key "Nope"/));
});
