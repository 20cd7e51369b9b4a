/** A volume as Docker's JSON shows it. */
import type { VolumeView } from '../volumes/volumes.ts';
import { formatTime } from '../wire/timestamps.ts';

/** `withUsage`: the size was asked for; what is not known is -1. */
export function volumeJson(volume: VolumeView, withUsage: boolean): object {
  return {
    CreatedAt: wholeSeconds(volume.createdAt),
    Driver: volume.driver,
    Labels: volume.labels,
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: volume.options,
    Scope: volume.scope,
    ...(volume.status === null ? {} : { Status: volume.status }),
    ...(withUsage ? { UsageData: { RefCount: volume.users.length, Size: volume.sizeBytes ?? -1 } } : {}),
  };
}

/** Docker writes no fraction here. */
function wholeSeconds(time: Date): string {
  return formatTime(new Date(Math.floor(time.getTime() / 1000) * 1000));
}
