/** A container as `inspect` and `ps` see it. */
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { lowersOf } from './container-rootfs.ts';
import type { ContainerView } from './containers.ts';
import { directorySize } from './directory-size.ts';

export async function containerView(context: ContainerContext, container: Container, withSize: boolean): Promise<ContainerView> {
  const { record, state, paths } = container;
  const ran = state.last.startedAt !== null;
  const shown = (path: string) => (ran ? path : '');
  return {
    id: record.id,
    name: record.name,
    createdAt: new Date(record.createdAt),
    path: record.path,
    args: record.args,
    state: {
      status: state.status,
      oomKilled: state.last.oomKilled,
      pid: state.status === 'running' ? state.process.pid : 0,
      exitCode: state.last.exitCode,
      error: state.last.error,
      startedAt: state.last.startedAt,
      finishedAt: state.last.finishedAt,
    },
    imageId: record.imageId,
    imageReference: record.imageReference,
    config: record.config,
    hostConfig: record.hostConfig,
    mounts: record.mounts,
    networks: {},
    ports: {},
    sandboxKey: '',
    restartCount: 0,
    execIds: context.execs.idsOf(container.id),
    paths: {
      resolvConf: shown(paths.resolvConf),
      hostname: shown(paths.hostname),
      hosts: shown(paths.hosts),
      log: ran && record.hostConfig.LogConfig.Type !== 'none' ? paths.log : '',
    },
    graph: graphOf(context, container),
    platform: record.platform,
    size: withSize ? await sizeOf(container) : null,
  };
}

function graphOf(context: ContainerContext, container: Container): Readonly<Record<string, string>> {
  const { paths } = container;
  const { base, lowers } = lowersOf(context, container);
  return {
    LowerDir: lowers.map((lower) => `${base}/${lower}`).join(':'),
    MergedDir: paths.merged,
    UpperDir: paths.upper,
    WorkDir: paths.work,
  };
}

async function sizeOf({ record, paths }: Container): Promise<ContainerView['size']> {
  const rwBytes = await directorySize(paths.upper);
  return { rwBytes, rootFsBytes: rwBytes + record.imageSizeBytes };
}
