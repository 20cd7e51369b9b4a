/**
 * The program that tests start, daemon and command line. By itself a test file starts the source, as it was just edited; under `npm test`, which has just built it,
 * the bundle: what users start, and up in a fifth of the processor time.
 */
import { fileURLToPath } from 'node:url';

const bundled = process.env.GANTRY_TEST_BUNDLE === '1';

/** `bundle`: the bundle in any case. */
export function programPath({ bundle = bundled }: { readonly bundle?: boolean } = {}): string {
  return fileURLToPath(new URL(bundle ? '../../build/gantry.cjs' : '../../src/main/main.ts', import.meta.url));
}

/** For Node. */
export const programEntry = programPath();
