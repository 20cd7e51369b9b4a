/**
 * Bundles for start-up time: one CommonJS file for the command line, one for the daemon, one per worker thread (measured: 20 raw modules start in
 * 169 ms, one bundle in 32). `koffi` stays outside: it carries a native module.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { warmCommands } from './warm-commands.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = join(root, 'build');

/** The daemon, loaded on demand by `main`, is a bundle of its own; `new URL('./x-worker.ts', import.meta.url)` becomes the worker's bundle beside ours. */
const workersBesideUs: Plugin = {
  name: 'workers-beside-us',
  setup(hook) {
    hook.onResolve({ filter: /\/daemon\/daemon\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './gantryd.cjs', external: true } : undefined,
    );
    hook.onResolve({ filter: /\/registry-server\/registry-command\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './gantry-registry.cjs', external: true } : undefined,
    );
    hook.onResolve({ filter: /\/device-tool\/device-command\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './gantry-device.cjs', external: true } : undefined,
    );
    hook.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      const { readFile } = await import('node:fs/promises');
      const text = await readFile(path, 'utf8');
      return { contents: text.replace(/new URL\('\.\/(?:[\w-]+\/)*([\w-]+-worker)\.ts'/g, "new URL('./$1.cjs'"), loader: 'ts' };
    });
  },
};

function workerEntries(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('-worker.ts'))
    .map((name) => join(folder, name));
}

async function bundle(entry: string, name: string): Promise<void> {
  const temporary = join(out, `${name}.new.cjs`);
  await build({
    entryPoints: [entry],
    outfile: temporary,
    bundle: true,
    minify: true,
    keepNames: true,
    platform: 'node',
    target: 'node26',
    format: 'cjs',
    external: ['koffi'],
    plugins: [workersBesideUs],
    legalComments: 'none',
    banner: { js: 'const __bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
    define: { 'import.meta.url': '__bundleUrl', 'process.env.GANTRY_BUILD': JSON.stringify(process.env.GANTRY_BUILD ?? 'dev') },
    logLevel: 'warning',
  });
  renameSync(temporary, join(out, `${name}.cjs`));
}

mkdirSync(out, { recursive: true });
rmSync(join(out, 'stamp'), { force: true });
await Promise.all([
  bundle(join(root, 'src/main/main.ts'), 'gantry-main'),
  bundle(join(root, 'src/daemon/daemon.ts'), 'gantryd'),
  bundle(join(root, 'src/daemon/registry-server/registry-command.ts'), 'gantry-registry'),
  bundle(join(root, 'src/daemon/device-tool/device-command.ts'), 'gantry-device'),
  ...workerEntries(join(root, 'src')).map((entry) => bundle(entry, relative(dirname(entry), entry).replace(/\.ts$/, ''))),
]);

/**
 * The compiled code of the command line is kept beside it, with the functions that commands came through: V8 compiles the others when they are called. Its file is named by what it was made of.
 * Node's own cache, which holds what is compiled at once only, does for the daemon.
 */
function entry(code: string, rest: string): string {
  const name = JSON.stringify(code);
  return `const { readFileSync } = require('node:fs');
const { Script, constants } = require('node:vm');
const first = process.argv[2];
if (first === 'daemon' || first === 'registry') {
  require('node:module').enableCompileCache(__dirname + '/compile-cache');
  require('./gantry-main.cjs');
} else {
  const filename = __dirname + '/gantry-main.cjs';
  let cachedData;
  try { cachedData = readFileSync(__dirname + '/' + ${name}); } catch {}
  const source = '(function (exports, require, module, __filename, __dirname) {' + readFileSync(filename, 'latin1') + '\\n})';
  const script = new Script(source, { filename, cachedData, importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER });
  const run = () => script.runInThisContext()(exports, require, module, filename, __dirname);
  ${rest}
}
`;
}

/** Every command in turn, in one process: each ends with `process.exit`. */
const fillingRest = (code: string) => `const lines = JSON.parse(process.env.GANTRY_WARM);
  const { exit } = process;
  process.exit = (status) => {
    const line = lines.shift();
    if (line === undefined) {
      require('node:fs').writeFileSync(__dirname + '/' + ${JSON.stringify(code)}, script.createCachedData());
      exit(status);
    }
    process.argv = [process.argv[0], process.argv[1], ...line];
    run();
  };
  process.exit();`;

const main = readFileSync(join(out, 'gantry-main.cjs'));
const code = `gantry-main-${createHash('sha256').update(main).digest('hex').slice(0, 16)}.code`;
for (const old of readdirSync(out).filter((name) => /^gantry-main-.*\.code/.test(name))) rmSync(join(out, old));
rmSync(join(out, 'compile-cache'), { recursive: true, force: true });
const fill = join(out, 'gantry-fill.cjs');
writeFileSync(fill, entry(code, fillingRest(`${code}.new`)));
await warmCommands(fill);
rmSync(fill);
if (existsSync(join(out, `${code}.new`))) renameSync(join(out, `${code}.new`), join(out, code));
writeFileSync(join(out, 'gantry.cjs'), entry(code, 'run();'));
