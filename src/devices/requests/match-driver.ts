/** Which makers a request may mean, by its driver and its capabilities: Docker's rules and its words when none fits. */
import { EngineError } from '../../base/errors.ts';
import type { DeviceRequest } from '../device-request.ts';
import type { GpuMaker } from '../gpu-vendor.ts';
import { nvidiaCapabilities } from './gpu-environment.ts';

export const makers: readonly GpuMaker[] = ['nvidia', 'amd', 'intel'];

const capabilitiesOf: Readonly<Record<GpuMaker, ReadonlySet<string>>> = {
  nvidia: new Set(['gpu', 'nvidia', ...nvidiaCapabilities]),
  amd: new Set(['gpu', 'amd']),
  intel: new Set(['gpu', 'intel']),
};

export interface MatchedMaker {
  readonly maker: GpuMaker;
  /** The first of the lists that all of fits. */
  readonly capabilities: readonly string[];
}

/** In the order in which they are tried, at least one. Throws for a driver that there is not, and for capabilities that nobody has. */
export function matchMakers(request: DeviceRequest): readonly MatchedMaker[] {
  const { Driver: driver } = request;
  const candidates = driver === '' ? makers : makers.filter((maker) => maker === driver);
  if (candidates.length === 0) {
    throw couldNotSelect(
      request,
      `there is no driver "${driver}"; there are ${makers.join(', ')}, and cdi for devices that are described in files`,
    );
  }
  const matched = candidates.flatMap((maker) => {
    const capabilities = (request.Capabilities ?? []).find((list) => list.every((capability) => capabilitiesOf[maker].has(capability)));
    return capabilities === undefined ? [] : [{ maker, capabilities }];
  });
  if (matched.length === 0) throw couldNotSelect(request, noMatch(request, candidates));
  return matched;
}

function noMatch({ Capabilities: lists }: DeviceRequest, candidates: readonly GpuMaker[]): string {
  if ((lists ?? []).length === 0) return 'a request has to name capabilities: [["gpu"]]';
  const known = new Set(candidates.flatMap((maker) => [...capabilitiesOf[maker]]));
  const unknown = [...new Set((lists ?? []).flat())].filter((capability) => !known.has(capability));
  const which =
    unknown.length === 0 ? 'no driver has all of them' : `nothing has ${unknown.map((text) => JSON.stringify(text)).join(', ')}`;
  return `${which}; there are ${candidates.map((maker) => `${[...capabilitiesOf[maker]].join(', ')} (${maker})`).join('; ')}`;
}

/** Docker's words, and then what they do not say. A 500 as there. */
export function couldNotSelect({ Driver: driver, Capabilities: lists }: DeviceRequest, why: string): EngineError {
  const shown = (lists ?? []).map((list) => `[${list.join(' ')}]`).join(' ');
  return new EngineError('system', `could not select device driver "${driver}" with capabilities: [${shown}]: ${why}`, {
    details: { driver, capabilities: lists ?? [] },
  });
}
