/** `-v`: anonymous volumes (`/data`), named ones (`name:/data`) and binds (`/host:/data:ro`, `./here:/data`). */
import { resolve } from 'node:path';

export interface VolumePlan {
  readonly anonymous: Record<string, Record<string, never>>;
  readonly binds: string[];
}

export function planVolumes(given: readonly string[], cwd: string): VolumePlan {
  const plan: VolumePlan = { anonymous: Object.create(null), binds: [] };
  for (const text of given) {
    if (text === '') throw new Error('invalid empty volume spec');
    if (text.split(':').includes('')) throw new Error(`invalid spec: ${text}: empty section between colons`);
    const colon = text.indexOf(':');
    if (colon === -1) plan.anonymous[text] = {};
    else plan.binds.push(text.startsWith('.') ? resolve(cwd, text.slice(0, colon)) + text.slice(colon) : text);
  }
  return plan;
}
