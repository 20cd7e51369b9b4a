/**
 * JSON or YAML to plain values. What comes out is bounded by what came in: aliases may not multiply, a key may not be there twice, deep nesting is an error like any
 * other. The words of YAML are those of 1.1, as other readers of CDI have it (`0666` is octal), but for its times, dates and base 60.
 */
import type { DocumentOptions, ParseOptions, SchemaOptions, Tags } from 'yaml';
import { errorText, invalid } from '../../base/errors.ts';

/** A document that uses one list for all of its devices stays far below it. */
const maximumAliases = 1000;

/** Throws an `invalid` whose message starts with the name of the file. */
export async function readDocument(text: string, file: string): Promise<unknown> {
  const source = text.replace(/^\uFEFF/, '');
  if (source.trim() === '') throw invalid(`${file}: it is empty: a description of devices has cdiVersion, kind and devices`);
  try {
    return /^\s*\{/.test(source) ? (jsonOf(source) ?? (await yamlOf(source))) : await yamlOf(source);
  } catch (error) {
    throw invalid(`${file}: ${problemOf(error)}`, { cause: error });
  }
}

/** What the parser of YAML says with a picture of the line is kept to its sentence. */
function problemOf(error: unknown): string {
  const [sentence = ''] = errorText(error).split('\n');
  return sentence.replace(/:$/, '').replace('Maximum call stack size exceeded', 'it is nested too deeply');
}

/** Undefined: it is no JSON, but may be YAML that starts with a brace. */
function jsonOf(source: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return undefined;
  }
  refuseRepeatedKeys(source);
  return value;
}

/** JSON.parse takes the last of two equal keys without a word. `source` is valid JSON. */
function refuseRepeatedKeys(source: string): void {
  const objects: (Set<string> | null)[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[[\]{}]/g;
  for (const [token, colon] of source.matchAll(tokens)) {
    if (token === '{') objects.push(new Set());
    else if (token === '[') objects.push(null);
    else if (token === '}' || token === ']') objects.pop();
    else if (colon !== undefined) {
      const key = String(JSON.parse(token.slice(0, -colon.length)));
      const keys = objects.at(-1);
      if (keys?.has(key)) throw new Error(`the key ${JSON.stringify(key)} is there twice: remove one`);
      keys?.add(key);
    }
  }
}

async function yamlOf(source: string): Promise<unknown> {
  // Loaded when there is something to read: a daemon without devices never pays for it.
  const { parseDocument, isScalar, visit } = await import('yaml');
  const document = parseDocument(source, yamlOptions);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) throw problem;
  visit(document, {
    Map(_, { items }) {
      const keys = new Set<string>();
      for (const { key } of items) {
        if (!isScalar(key)) throw new Error('a key is not a word');
        const name = String(key.value);
        if (keys.has(name)) throw new Error(`the key ${JSON.stringify(name)} is there twice: remove one`);
        keys.add(name);
      }
    },
  });
  return document.toJS({ maxAliasCount: maximumAliases });
}

const strangeTags: ReadonlySet<string> = new Set(
  ['timestamp', 'binary', 'omap', 'pairs', 'set'].map((name) => `tag:yaml.org,2002:${name}`),
);

const yamlOptions: ParseOptions & DocumentOptions & SchemaOptions = {
  version: '1.1',
  // Looked for here: the parser's own search takes time by the square of a map's size.
  uniqueKeys: false,
  customTags: (tags: Tags) => tags.filter((tag) => typeof tag === 'string' || !(tag.format === 'TIME' || strangeTags.has(tag.tag))),
};
