import { notImplemented } from '../../base/errors.ts';
export async function fetchFile(_work: unknown): Promise<never> {
  throw notImplemented('contexts of web addresses are not supported yet');
}
