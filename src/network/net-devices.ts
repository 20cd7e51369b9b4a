/** Interfaces of the host that descriptions of devices (CDI `netDevices`) give to a container: lent to its namespace until it is detached. */
import type { ContainerId } from '../base/brand.ts';
import { invalid } from '../base/errors.ts';
import type { NetDeviceWish } from './net-calls.ts';
import type { NetworkContext } from './network-context.ts';
import { saveSandbox } from './network-record.ts';

/** For containers without a namespace that is made before they start. */
export function refuseNetDevices(networkMode: string, devices: readonly NetDeviceWish[]): void {
  const [first] = devices;
  if (first === undefined) return;
  throw invalid(
    `the network interface "${first.hostInterfaceName}" cannot be given to a container with --network ${networkMode}: it has no network of its own to move it into (use a bridge network)`,
  );
}

/** Of an attached container, before it starts. All or nothing. */
export function lendNetDevices(context: NetworkContext, container: ContainerId, devices: readonly NetDeviceWish[]): Promise<void> {
  return context.lanes.run(container, async () => {
    const live = context.sandboxes.get(container);
    if (live === undefined || devices.length === 0) return;
    const intended = devices.map((device) => ({ ...device, index: 0, up: true, master: 0, addresses: [] }));
    // First: a daemon that dies in between leaves it to the next one to look.
    await context.database.write('normal', [saveSandbox({ ...live.record, lent: intended })]);
    try {
      const lent = await context.calls.lendDevices(container, devices);
      context.sandboxes.set(container, { ...live, record: { ...live.record, lent } });
    } finally {
      await context.database.write('normal', [saveSandbox(context.sandboxes.get(container)?.record ?? live.record)]);
    }
  });
}
