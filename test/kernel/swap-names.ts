/** Exchanges two names of one directory (RENAME_EXCHANGE) until its standard input ends: swap-names.ts DIRECTORY A B. */
import { openSync } from 'node:fs';
import { RENAME_EXCHANGE, renameAt } from '../../src/linux/file-calls.ts';

const [directory = '', a = '', b = ''] = process.argv.slice(2);
const parent = openSync(directory, 'r');
let ended = false;
process.stdin.on('end', () => {
  ended = true;
});
process.stdin.resume();
process.stdout.write('ready\n');

function swapOften(): void {
  for (let i = 0; i < 500; i++) renameAt(parent, a, parent, b, RENAME_EXCHANGE);
  if (!ended) setImmediate(swapOften);
}
swapOften();
