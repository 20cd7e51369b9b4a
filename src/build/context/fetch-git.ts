import { notImplemented } from '../../base/errors.ts';
export async function fetchGit(_work: unknown): Promise<never> {
  throw notImplemented('contexts of git are not supported yet');
}
