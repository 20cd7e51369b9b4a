/**
 * Names of described devices among `HostConfig.Devices`. Docker's command line asks for them by a device request; clients that know nothing of names, as docker-compose 1.29, pass what they
 * are given (`devices: [vendor.com/camera=front]`), divided at its colons (`nvidia.com/gpu=0:1`).
 */
import type { DeviceRequest } from '../devices/device-request.ts';
import { isDeviceName } from '../oci/device-name.ts';
import type { HostConfig } from './config.ts';

/** Null: it is a path. */
export function deviceNameOf({ PathOnHost: host, PathInContainer: inside }: NonNullable<HostConfig['Devices']>[number]): string | null {
  const name = inside === '' || inside === host ? host : `${host}:${inside}`;
  return isDeviceName(name) ? name : null;
}

/** All requests of a container. */
export function deviceRequestsOf({
  DeviceRequests: requests,
  Devices: mappings,
}: Pick<HostConfig, 'DeviceRequests' | 'Devices'>): readonly DeviceRequest[] {
  const names = (mappings ?? []).map(deviceNameOf).filter((name) => name !== null);
  const byName = { Driver: 'cdi', Count: 0, DeviceIDs: names, Capabilities: null, Options: null };
  return [...(requests ?? []), ...(names.length === 0 ? [] : [byName])];
}
