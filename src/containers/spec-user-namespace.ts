/**
 * A spec for a container in a user namespace of its own. Pure.
 *
 * Whose files the container sees: those of its image, its own and its volumes with the owners they have everywhere (mapped when mounted); those of the host as
 * nobody's, as they belong to nobody who is in the container, unless the mount says `idmap=`, whose numbers are then the container's.
 */
import type { IdMapping, Linux, Mount, RuntimeSpec } from '../oci/runtime-spec.ts';
import type { IdRange } from '../runtime/user-namespace.ts';

/** `ours`: destinations of volumes. */
export function inUserNamespace(spec: RuntimeSpec, { base, size }: IdRange, ours: ReadonlySet<string>): RuntimeSpec {
  const all: readonly IdMapping[] = [{ containerID: 0, hostID: base, size }];
  const linux: Linux = {
    ...spec.linux,
    namespaces: [...spec.linux.namespaces, { type: 'user' }],
    uidMappings: all,
    gidMappings: all,
  };
  return { ...spec, linux, mounts: spec.mounts.map((mount) => mapped(mount, { base, size }, ours.has(mount.destination) ? all : null)) };
}

function mapped(mount: Mount, range: IdRange, otherwise: readonly IdMapping[] | null): Mount {
  const { uidMappings = [], gidMappings = [] } = mount;
  if (uidMappings.length > 0 || gidMappings.length > 0)
    return { ...mount, uidMappings: into(range, uidMappings), gidMappings: into(range, gidMappings) };
  return otherwise === null ? mount : { ...mount, uidMappings: otherwise, gidMappings: otherwise };
}

const everything: readonly IdMapping[] = [{ containerID: 0, hostID: 0, size: 2 ** 32 - 1 }];

/** What a mapping calls the outside is the container's view of it: as far as the container has such ids, they are the host's from `base` on. */
function into({ base, size }: IdRange, mappings: readonly IdMapping[]): readonly IdMapping[] {
  return (mappings.length === 0 ? everything : mappings).flatMap(({ containerID, hostID, size: count }) => {
    const fitting = Math.min(count, size - hostID);
    return fitting > 0 ? [{ containerID, hostID: base + hostID, size: fitting }] : [];
  });
}
