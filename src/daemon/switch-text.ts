/** How a person writes yes and no. */
import { invalid } from '../base/errors.ts';

export function parseSwitch(text: string, name: string): boolean {
  const lower = text.toLowerCase();
  if (['true', '1', 't'].includes(lower)) return true;
  if (['false', '0', 'f'].includes(lower)) return false;
  throw invalid(`invalid value for ${name}: ${JSON.stringify(text)} is neither true nor false`);
}
