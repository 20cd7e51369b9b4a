/** `create-symlinks`: the links that programs expect, in place of whatever file or link the image has there. */
import { invalid } from '../../../base/errors.ts';
import type { ContainerRoot } from '../container-root.ts';
import { placeLink } from './place-in-root.ts';

/** `TARGET::LINK`, as descriptions write them. */
export function createSymlinks({ root }: Pick<ContainerRoot, 'root'>, pairs: readonly string[]): void {
  for (const pair of pairs) {
    const [target = '', link = '', ...more] = pair.split('::');
    if (target === '' || link === '' || more.length > 0) throw invalid(`--link wants TARGET::LINK, not ${JSON.stringify(pair)}`);
    placeLink(root, target, link);
  }
}
