/** A wish as it was written → what has to be looked for: GPUs of one of several makers, and devices by their qualified names. Nothing of the machine is looked at. */
import { invalid } from '../../base/errors.ts';
import { nearest } from '../../base/near-miss.ts';
import { parseDeviceName } from '../../oci/device-name.ts';
import type { DeviceRequest } from '../device-request.ts';
import type { DeviceWish } from '../devices.ts';
import { kindOfMaker } from '../gpu-pool.ts';
import { checkSize } from './check-size.ts';
import { type Environment, environmentOf, gpusOfEnvironment, type WhichGpus, whichOfIds } from './gpu-environment.ts';
import { type MatchedMaker, makers, matchMakers } from './match-driver.ts';
import { quoted } from './quoted.ts';

export interface WishPlan {
  readonly gpus: readonly GpuWish[];
  readonly names: readonly NameWish[];
  readonly environment: Environment;
}

export interface GpuWish {
  /** For the words when none of the makers is here. */
  readonly request: DeviceRequest;
  /** Tried in this order. */
  readonly makers: readonly MatchedMaker[];
  readonly which: WhichGpus;
  readonly exclusive: boolean;
  /** What else can be done when none of the makers is here; null: nothing that the person did not say. */
  readonly remedy: string | null;
}

export interface NameWish {
  readonly name: string;
  readonly kind: string;
  readonly exclusive: boolean;
}

const cdiDriver = 'cdi';
const exclusiveOption = 'exclusive';

/** Null: there is no wish. `fromEnvironment`: the variables of images are requests. Throws for what can never be met. */
export function planWish({ requests, environment: variables, byRuntime }: DeviceWish, fromEnvironment: boolean): WishPlan | null {
  const asksByVariables = byRuntime || fromEnvironment;
  if (requests.length === 0 && !asksByVariables) return null;
  checkSize(requests);
  const environment = environmentOf(variables);
  const names = requests.filter(({ Driver }) => Driver === cdiDriver).flatMap(namesOf);
  const gpus = requests.filter(({ Driver }) => Driver !== cdiDriver).map(gpuWish);
  const gpusByName = names.some(({ kind }) => makers.some((maker) => kindOfMaker[maker] === kind));
  // Whoever says what it gets is not given more than that by the image.
  const byVariables = asksByVariables && gpus.length === 0 && !gpusByName ? wishOfEnvironment(environment) : [];
  if (gpus.length + names.length + byVariables.length === 0) return null;
  return { gpus: [...gpus, ...byVariables], names, environment };
}

function gpuWish(request: DeviceRequest): GpuWish {
  const ids = request.DeviceIDs ?? [];
  if (request.Count !== 0 && ids.length > 0) throw invalid('cannot set both Count and DeviceIDs on device request');
  return { request, makers: matchMakers(request), which: whichOf(request.Count, ids), exclusive: isExclusive(request), remedy: null };
}

function whichOf(count: number, ids: readonly string[]): WhichGpus {
  if (count < 0) return { kind: 'all' };
  return count > 0 ? { kind: 'count', count } : whichOfIds(ids);
}

function namesOf(request: DeviceRequest): readonly NameWish[] {
  if (request.Count !== 0) throw invalid('unexpected count in CDI device request: devices that are described are asked for by their names');
  const exclusive = isExclusive(request);
  return (request.DeviceIDs ?? []).map((text) => {
    const name = parseDeviceName(text);
    if (name === null) {
      throw invalid(
        `CDI device injection failed: ${quoted(text)} is no name of a device: it is written vendor.com/class=name. gantry device ls shows those there are`,
      );
    }
    return { name: text, kind: `${name.vendor}/${name.class}`, exclusive };
  });
}

function wishOfEnvironment(environment: Environment): readonly GpuWish[] {
  const asked = gpusOfEnvironment(environment);
  if (asked === null) return [];
  const { maker, which, variable } = asked;
  const remedy = `${variable} of the image or the container asks for GPUs: start it with --env ${variable}=void to go without`;
  const request = { Driver: maker, Count: 0, DeviceIDs: null, Capabilities: [['gpu']], Options: null };
  return [{ request, makers: [{ maker, capabilities: ['gpu'] }], which, exclusive: false, remedy }];
}

/** Options are the driver's own and Docker passes all on, so that unknown ones are let be; but one that is misspelt would give a device to others. */
function isExclusive({ Options: options }: DeviceRequest): boolean {
  for (const name of Object.keys(options ?? {})) {
    if (name !== exclusiveOption && nearest(name.toLowerCase(), [exclusiveOption]) !== null) {
      throw invalid(`unknown option ${quoted(name)} of a device request: did you mean "${exclusiveOption}"?`);
    }
  }
  const text = options?.[exclusiveOption];
  return text !== undefined && !['false', '0', 'f', 'no'].includes(text.toLowerCase());
}
