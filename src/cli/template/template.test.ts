import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { executeTemplate, TemplateExecutionError } from './evaluate.ts';
import { functionNames, templateFunctions } from './functions.ts';
import { formatValue, GoMap, Struct, TypedNil, toJson, type Value } from './go-value.ts';
import { TemplateSyntaxError } from './lexer.ts';
import { parseTemplate } from './parser.ts';

const labels = new GoMap(
  new Map<string, Value>([
    ['b', '2'],
    ['a', '1'],
    ['com.x/y', 'z'],
  ]),
  '',
);
const data = new Struct('Thing', {
  Name: 'web',
  Count: 3,
  Rate: 1.5,
  Up: true,
  Tags: ['x', 'y', 'z'],
  Empty: [],
  Labels: labels,
  Any: new GoMap(new Map<string, Value>([['k', 'v']])),
  Inner: new Struct('Inner', { Deep: new Struct('Deep', { Leaf: 'green' }) }),
  None: new TypedNil('slice'),
  NoMap: new TypedNil('map'),
  Nil: new TypedNil('pointer'),
  Label: (name: Value) => labels.entries.get(String(name)) ?? '',
});

function run(source: string): string {
  return executeTemplate(parseTemplate(source, functionNames), data, templateFunctions);
}

describe('templates give what Go gives', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['plain', 'plain'],
    ['{{.Name}}', 'web'],
    ['{{ .Name }}!', 'web!'],
    ['{{.Inner.Deep.Leaf}}', 'green'],
    ['{{(.Inner).Deep.Leaf}}', 'green'],
    ['{{$.Name}}', 'web'],
    ['{{.Tags}} {{.Labels}}', '[x y z] map[a:1 b:2 com.x/y:z]'],
    ['{{.None}} {{.NoMap}} {{.Nil}}', '[] map[] <nil>'],
    ['{{.Labels.a}} {{.Labels.nope}}', '1 <no value>'],
    ['{{index .Labels "com.x/y"}} [{{index .Labels "nope"}}] {{index .Any "nope"}}', 'z [] <no value>'],
    ['{{.Any.nope.deeper}}', '<no value>'],
    ['{{index .Tags 1}} {{index .Name 0}}', 'y 119'],
    ['{{.Label "a"}} {{"b" | .Label}}', '1 2'],
    ['{{json .Tags}} {{json .Labels}} {{json .Name}} {{json .None}}', '["x","y","z"] {"a":"1","b":"2","com.x/y":"z"} "web" null'],
    ['{{if .Up}}yes{{else}}no{{end}}', 'yes'],
    ['{{if .Empty}}a{{else if .None}}b{{else if eq .Count 3}}c{{else}}d{{end}}', 'c'],
    ['{{with .Inner.Deep}}{{.Leaf}}{{end}}{{with .Nil}}x{{else}}none{{end}}', 'greennone'],
    ['{{with .Nil}}x{{else with .Inner}}{{.Deep.Leaf}}{{end}}', 'green'],
    ['{{range .Tags}}<{{.}}>{{end}}', '<x><y><z>'],
    ['{{range $i, $t := .Tags}}{{$i}}={{$t}} {{end}}', '0=x 1=y 2=z '],
    ['{{range $k, $v := .Labels}}{{$k}}:{{$v}},{{end}}', 'a:1,b:2,com.x/y:z,'],
    ['{{range .Empty}}x{{else}}empty{{end}}{{range .None}}x{{else}}nil{{end}}', 'emptynil'],
    ['{{range .Tags}}{{if eq . "y"}}{{continue}}{{end}}{{.}}{{end}}', 'xz'],
    ['{{range .Tags}}{{if eq . "y"}}{{break}}{{end}}{{.}}{{end}}', 'x'],
    ['{{range 3}}{{.}}{{end}}', '012'],
    ['{{$x := .Name}}{{$x}}{{$x = "other"}}{{$x}}', 'webother'],
    ['{{$n := 0}}{{range .Tags}}{{$n = len .}}{{end}}{{$n}}', '1'],
    ['{{.Name | upper | printf "%s!"}}', 'WEB!'],
    [
      '{{printf "%-5s|%5d|%05d|%q|%v|%x|%.2f|%%" .Name .Count .Count .Name .Tags "hi" .Rate}}',
      'web  |    3|00003|"web"|[x y z]|6869|1.50|%',
    ],
    ['{{printf "%d" .Name}} {{printf "%s"}} {{printf "x" 1}}', '%!d(string=web) %!s(MISSING) x%!(EXTRA int=1)'],
    ['{{eq .Count 1 2 3}} {{ne .Name "x"}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1 2}}', 'true true true true true false'],
    ['{{and .Up .Name}} {{and .Up .Empty}} {{or .Empty .Name}} {{not .Up}}', 'web [] web false'],
    ['{{and false (index .Tags 99)}}', 'false'],
    ['{{len .Tags}} {{len .Name}} {{len .Labels}} {{len .None}}', '3 3 3 0'],
    ['{{slice .Name 1}} {{slice .Tags 1 2}}', 'eb [y]'],
    ['{{join .Tags ", "}} {{index (split "a:b" ":") 1}}', 'x, y, z b'],
    ['{{title "hello world"}} {{lower "ABC"}} [{{pad "a" 1 2}}] {{truncate "abcdef" 3}}', 'Hello World abc [ a  ] abc'],
    ['{{print 1 2 "a" "b" 3}} {{println "x" 1}}', '1 2ab3 x 1\n'],
    ['{{html "<a>&"}} {{js "it\'s"}} {{urlquery "a b&c"}}', "&lt;a&gt;&amp; it\\'s a+b%26c"],
    ['a {{- .Name -}} b', 'awebb'],
    ['a {{/* a comment */}}b{{- /* trimmed */ -}} c', 'a bc'],
    ['{{"a\\tb\\u00e9\\x41"}}{{`raw\\n`}}', 'a\tbéAraw\\n'],
    ["{{'a'}} {{0x10}} {{-5}} {{1.5}} {{true}}", '97 16 -5 1.5 true'],
    ['{{define "t"}}<{{.}}>{{end}}{{template "t" .Name}}{{template "t" 5}}', '<web><5>'],
    ['{{block "b" .Name}}[{{.}}]{{end}}', '[web]'],
    ['{{if not (and .Up (eq .Name "web"))}}a{{else}}b{{end}}', 'b'],
    ['{{.Rate}} {{.Count}} {{.Up}}', '1.5 3 true'],
  ];
  for (const [source, expected] of cases) it(source, () => assert.equal(run(source), expected));
});

describe('templates complain as Go does', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['{{.Nope}}', `template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type Thing`],
    ['a\n {{.Inner.Nope}}', `template: :2:9: executing "" at <.Inner.Nope>: can't evaluate field Nope in type Inner`],
    ['{{.Nil.X}}', 'nil pointer evaluating *X'],
    ['{{.Name.X}}', `can't evaluate field X in type string`],
    ['{{index .Tags 9}}', 'executing "" at <index .Tags 9>: error calling index: index out of range: 9'],
    ['{{eq 1 "a"}}', 'error calling eq: incompatible types for comparison'],
    ['{{range .Name}}{{end}}', `range can't iterate over web`],
    ['{{.Name 1}}', `can't give argument to non-function`],
    ['{{template "nope"}}', 'template "nope" not defined'],
    ['{{define "r"}}{{template "r"}}{{end}}{{template "r"}}', 'exceeded maximum template depth'],
    ['{{.Name', 'template: :1: unclosed action'],
    ['x\n{{.Name', 'template: :2: unclosed action'],
    ['{{nofunc .Name}}', 'template: :1: function "nofunc" not defined'],
    ['{{if .Up}}', 'unexpected EOF'],
    ['{{end}}', 'unexpected {{end}}'],
    ['{{else}}', 'unexpected {{else}}'],
    ['{{$x}}', 'undefined variable "$x"'],
    ['{{range .Tags}}{{$y := .}}{{end}}{{$y}}', 'undefined variable "$y"'],
    ['{{}}', 'missing value for command'],
    ['{{.Name}', `bad character U+007D '}'`],
    ['{{"abc}}', 'unterminated quoted string'],
    ['{{(.Name}}', 'unclosed left paren'],
    ['{{break}}', '{{break}} outside {{range}}'],
    ['{{.Name | 5}}', 'non executable command in pipeline stage 2'],
    ['{{/* open', 'unclosed comment'],
  ];
  for (const [source, message] of cases) {
    it(source, () => {
      assert.throws(
        () => run(source),
        (error: unknown) => {
          assert.ok(error instanceof TemplateExecutionError || error instanceof TemplateSyntaxError, String(error));
          assert.ok(error.message.includes(message), error.message);
          return true;
        },
      );
    });
  }
});

const pieces = fc.constantFrom(
  '{{', '}}', '{{-', ' -}}', '.', '.Name', '.Tags', '.Nope', '$x', ':=', '|', '(', ')', 'range', 'end', 'if', 'else', 'with', 'index', 'json', '"s"', '`', '"', "'", '1', ' ', '\n', 'text', '$', ',', '/*', '*/', 'and', 'printf', '{{end}}', '{{range .Tags}}', '{{.}}',
); // biome-ignore format: a list of words

describe('templates as a whole', () => {
  it('end any text in output or in one of their two errors', () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        try {
          assert.equal(typeof run(parts.join('')), 'string');
        } catch (error) {
          assert.ok(error instanceof TemplateSyntaxError || error instanceof TemplateExecutionError, `${parts.join('')}: ${error}`);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('leave text without actions as it is', () => {
    fc.assert(fc.property(fc.string(), (text) => text.includes('{{') || run(text) === text));
  });

  it('read back any string literal', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => run(`{{${JSON.stringify(text).replaceAll('\\/', '/')}}}`) === text));
  });

  it('write JSON that reads back as the same value', () => {
    const value = fc.letrec<{ value: Value }>((tie) => ({
      value: fc.oneof(
        fc.string(),
        fc.integer(),
        fc.boolean(),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }).map((entries) => new GoMap(new Map(Object.entries(entries)))),
      ),
    })).value;
    fc.assert(
      fc.property(value, (any) => {
        const text = toJson(any);
        assert.equal(toJson(fromJson(JSON.parse(text))), text);
        assert.equal(typeof formatValue(any), 'string');
      }),
    );
  });
});

function fromJson(json: unknown): Value {
  if (Array.isArray(json)) return json.map(fromJson);
  if (typeof json === 'object' && json !== null)
    return new GoMap(new Map(Object.entries(json).map(([key, item]) => [key, fromJson(item)])));
  return json as Value;
}
