/** Holds the folder table of DESIGN.md section 3: who may import whom (`import type` counts), and that no file cycle exists. */
import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

/** The architecture. `*` means every folder but those after it. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  oci: ['base'],
  linux: ['base'],
  archive: ['base'],
  dockerfile: ['oci', 'base'],
  store: ['archive', 'oci', 'linux', 'base'],
  distribution: ['oci', 'base'],
  registry: ['distribution', 'store', 'oci', 'base'],
  images: ['store', 'distribution', 'dockerfile', 'archive', 'oci', 'base'],
  volumes: ['store', 'archive', 'linux', 'base'],
  network: ['store', 'linux', 'base'],
  runtime: ['linux', 'oci', 'base'],
  devices: ['linux', 'oci', 'base'],
  containers: ['images', 'volumes', 'network', 'runtime', 'devices', 'store', 'archive', 'linux', 'oci', 'base'],
  build: ['images', 'store', 'dockerfile', 'archive', 'linux', 'oci', 'base'],
  wire: ['oci', 'base'],
  api: ['containers', 'build', 'images', 'volumes', 'network', 'devices', 'wire', 'oci', 'base'],
  client: ['wire', 'base'],
  compose: ['client', 'wire', 'oci', 'base'],
  cli: ['compose', 'client', 'dockerfile', 'wire', 'archive', 'oci', 'base'],
  dashboard: ['client', 'wire'],
  daemon: [
    'api',
    'build',
    'containers',
    'dashboard',
    'devices',
    'distribution',
    'images',
    'network',
    'registry',
    'runtime',
    'store',
    'volumes',
    'wire',
    'client',
    'archive',
    'linux',
    'oci',
    'base',
  ],
  main: ['cli', 'daemon'],
};

/** The only packages a folder may load. Native calls (koffi) live in `linux` alone. */
const packages: Readonly<Record<string, readonly string[]>> = {
  linux: ['koffi'],
  wire: ['typebox'],
  api: ['typebox'],
  daemon: ['pino'],
  registry: ['bcryptjs'],
  devices: ['yaml'],
};

const files = globSync('src/**/*.ts').sort();

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '');
  const found = text.matchAll(
    /(?:^|[\s;])(?:import|export)\s(?:[^'";]*?\sfrom\s)?'([^']+)'|import\('([^']+)'\)|new URL\('(\.[^']+)', import\.meta\.url\)/g,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

const folderOf = (file: string): string => file.split('/')[1] ?? '';
const isTest = (file: string): boolean => file.endsWith('.test.ts') || file.endsWith('-suite.ts');

test('every folder of src is in the table', () => {
  const unknown = readdirSync('src').filter((folder) => mayImport[folder] === undefined);
  assert.deepEqual(unknown, []);
});

test('imports between folders follow the table', () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const target of importsOf(file).filter((name) => name.startsWith('.'))) {
      const path = normalize(join(dirname(file), target));
      // package.json and the like are data, not a folder.
      if (!path.startsWith('src/')) continue;
      const [from, to] = [folderOf(file), folderOf(path)];
      if (from !== to && !mayImport[from]?.includes(to)) wrong.push(`${file} imports ${target} (${from} may not import ${to})`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('packages are loaded only where they belong', () => {
  const wrong: string[] = [];
  for (const file of files.filter((name) => !isTest(name))) {
    for (const name of importsOf(file).filter((target) => !target.startsWith('.') && !target.startsWith('node:'))) {
      const owner = name.startsWith('@') ? name.split('/').slice(0, 2).join('/') : (name.split('/')[0] ?? '');
      if (!packages[folderOf(file)]?.includes(owner)) wrong.push(`${file} loads ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('the command line reaches no package: it would pay for it at every start', () => {
  const graph = new Map(files.map((file) => [file, importsOf(file)]));
  const reached = new Set<string>();
  const visit = (file: string): void => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const name of graph.get(file) ?? []) if (name.startsWith('.')) visit(normalize(join(dirname(file), name)));
  };
  for (const file of files.filter((name) => folderOf(name) === 'cli' && !isTest(name) && !name.includes('/testing/'))) visit(file);
  const wrong = [...reached].flatMap((file) =>
    (graph.get(file) ?? []).filter((name) => !name.startsWith('.') && !name.startsWith('node:')).map((name) => `${file} loads ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test('no file cycle', () => {
  const graph = new Map(
    files.map((file) => [
      file,
      importsOf(file)
        .filter((name) => name.startsWith('.'))
        .map((name) => normalize(join(dirname(file), name))),
    ]),
  );
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file), `cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
});

test('no file has a name that says nothing', () => {
  const wrong = files.filter((file) => /\/(utils?|common|helpers?|manager|misc)\b/.test(file));
  assert.deepEqual(wrong, []);
});
