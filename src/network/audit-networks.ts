/** Audits networks: the kernel against the net worker, the worker against the service, and the rows of containers that are on no network any more. */
import type { ContainerId } from '../base/brand.ts';
import type { Finding } from '../base/finding.ts';
import type { NetSurvey } from './net-calls.ts';
import type { NetworkContext } from './network-context.ts';
import { deleteSandbox, readSandboxes } from './network-record.ts';

export async function auditNetworks(context: NetworkContext): Promise<readonly Finding[]> {
  // Attached before the survey or after it: a container that comes or goes meanwhile is no stray.
  const before = new Set<string>(context.sandboxes.keys());
  const [survey, records] = [await context.calls.survey(), await readSandboxes(context.database)];
  const isAttached = (id: string) => before.has(id) || context.sandboxes.has(id as ContainerId);
  return [
    ...kernelFindings(context, survey),
    ...[...new Set([...survey.sandboxes, ...survey.dnsSandboxes])]
      .filter((id) => !isAttached(id))
      .map((id) => namespaceFinding(context, id as ContainerId)),
    ...survey.portOwners
      .filter(({ sandboxId }) => !isAttached(sandboxId))
      .map(({ sandboxId, port }) => mendable(context, 'port', port, `it is reserved for container ${sandboxId}, which has no network now`)),
    ...records
      .filter(({ containerId }) => !isAttached(containerId))
      .map(({ containerId, containerName }) => rowFinding(context, containerId, containerName)),
  ];
}

function kernelFindings(context: NetworkContext, { ownerlessLinks, missingBridges, lostEndpoints, table }: NetSurvey): readonly Finding[] {
  const found: Found = (kind, what, why) => mendable(context, kind, what, why);
  return [
    ...ownerlessLinks.map((name) => found('interface', name, 'it has our mark, and belongs to no container and no network')),
    ...missingBridges.map(({ bridge, networkName }) => found('interface', bridge, `the bridge of network ${networkName} is missing`)),
    ...lostEndpoints.map(({ sandboxId, interfaceName, how }): Finding => {
      const what = `${interfaceName} of container ${sandboxId}`;
      return how === 'deleted'
        ? { kind: 'interface', what, why: 'somebody deleted it: restart the container', repair: null }
        : found('interface', what, `it is ${how}`);
    }),
    ...(table === null ? [] : tableFindings(table, found)),
  ];
}

type Found = (kind: Finding['kind'], what: string, why: string) => Finding;

function tableFindings(
  { name, exists, strayElements, missingElements }: NonNullable<NetSurvey['table']>,
  found: Found,
): readonly Finding[] {
  if (!exists) return [found('nft', `table inet ${name}`, 'it is missing')];
  return [
    ...(strayElements > 0 ? [found('nft', `elements of table inet ${name}`, `${strayElements} lead to nothing of ours`)] : []),
    ...(missingElements > 0 ? [found('nft', `missing elements of table inet ${name}`, `${missingElements} should be there`)] : []),
  ];
}

function mendable({ calls }: NetworkContext, kind: Finding['kind'], what: string, why: string): Finding {
  return { kind, what, why, repair: { does: 'brings the kernel to what is recorded', run: () => calls.mend() } };
}

function namespaceFinding(context: NetworkContext, id: ContainerId): Finding {
  return {
    kind: 'namespace',
    what: `network of container ${id}`,
    why: 'the container is on no network',
    repair: {
      does: 'takes it down',
      run: () =>
        context.lanes.run(id, async () => {
          if (!context.sandboxes.has(id)) await context.calls.removeSandbox(id);
        }),
    },
  };
}

function rowFinding(context: NetworkContext, id: ContainerId, name: string): Finding {
  return {
    kind: 'row',
    what: `network of container ${id}`,
    why: `container ${name} is on no network`,
    repair: {
      does: 'deletes the row',
      run: () =>
        context.lanes.run(id, async () => {
          if (!context.sandboxes.has(id)) await context.database.write('normal', [deleteSandbox(id)]);
        }),
    },
  };
}
