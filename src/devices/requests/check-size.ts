/** Bounds of what one container may ask for, far above any machine: what is looked for takes the event loop's time, and what is not found is told. */
import { invalid } from '../../base/errors.ts';
import type { DeviceRequest } from '../device-request.ts';
import { quoted } from './quoted.ts';

const mostRequests = 256;
/** Of all requests together: devices, capabilities, options. */
const mostWords = 4096;
const longestWord = 1024;

export function checkSize(requests: readonly DeviceRequest[]): void {
  if (requests.length > mostRequests) throw invalid(`there are ${requests.length} device requests: at most ${mostRequests} are taken`);
  const words = requests.flatMap(({ Driver, DeviceIDs, Capabilities, Options }) => [
    Driver,
    ...(DeviceIDs ?? []),
    ...(Capabilities ?? []).flat(),
    ...Object.keys(Options ?? {}),
    ...Object.values(Options ?? {}),
  ]);
  if (words.length > mostWords)
    throw invalid(`the device requests name ${words.length} devices, capabilities and options: at most ${mostWords} are taken`);
  const long = words.find((word) => word.length > longestWord);
  if (long !== undefined)
    throw invalid(`${quoted(long)} in a device request has ${long.length} characters: at most ${longestWord} are taken`);
}
