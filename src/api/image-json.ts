/** Images as `GET /images/json` and `GET /images/NAME/json` show them, in the shape of the client's API version. */
import type { Image } from '../images/catalogue.ts';
import { formatTime, unixSeconds, zeroTime } from '../wire/timestamps.ts';

const noTag = '<none>:<none>';
const noDigest = '<none>@<none>';

export function imageSummary(image: Image, containerCount: number, sharedBytes: number, apiMinor: number): object {
  // Before 1.43 a dangling image had a name made of `<none>`.
  const placeholders = apiMinor < 43 && image.repoTags.length === 0;
  return {
    Containers: containerCount,
    Created: unixSeconds(image.localCreatedAt),
    Id: image.id,
    Labels: image.config.config.Labels ?? null,
    ParentId: image.parent ?? '',
    RepoDigests: placeholders && image.repoDigests.length === 0 ? [noDigest] : image.repoDigests,
    RepoTags: placeholders ? [noTag] : image.repoTags,
    SharedSize: sharedBytes,
    Size: image.sizeBytes,
    ...(apiMinor < 44 ? { VirtualSize: image.sizeBytes } : {}),
  };
}

export function imageInspect(image: Image, graph: Readonly<Record<string, string>>, apiMinor: number): object {
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: image.parent ?? '',
    Comment: config.comment ?? config.history.at(-1)?.comment ?? '',
    ...createdField(config.created, apiMinor),
    ...(apiMinor < 45 ? { Container: config.container ?? '', ContainerConfig: runConfig({}, apiMinor) } : {}),
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: runConfig(config.config, apiMinor),
    Architecture: config.architecture,
    ...(config.variant === undefined ? {} : { Variant: config.variant }),
    Os: config.os,
    ...(config['os.version'] === undefined ? {} : { OsVersion: config['os.version'] }),
    Size: image.sizeBytes,
    ...(apiMinor < 44 ? { VirtualSize: image.sizeBytes } : {}),
    GraphDriver: { Data: graph, Name: 'overlay2' },
    RootFS: { Type: 'layers', Layers: image.diffIds },
    Metadata: { LastTagTime: formatTime(image.lastTagTime) },
  };
}

function createdField(created: string | undefined, apiMinor: number): object {
  if (created !== undefined) return { Created: created };
  return apiMinor < 44 ? { Created: zeroTime } : {};
}

/** Before 1.50 the config of an image had a container's fields, all empty. */
function runConfig(config: Image['config']['config'], apiMinor: number): object {
  const shared = {
    User: config.User ?? '',
    ...(config.ExposedPorts === undefined ? {} : { ExposedPorts: config.ExposedPorts }),
    Env: config.Env ?? (apiMinor < 50 ? null : []),
    Cmd: config.Cmd ?? null,
    ...(config.Healthcheck === undefined ? {} : { Healthcheck: config.Healthcheck }),
    ...(config.ArgsEscaped === true ? { ArgsEscaped: true } : {}),
    Volumes: config.Volumes ?? null,
    WorkingDir: config.WorkingDir ?? '',
    Entrypoint: config.Entrypoint ?? null,
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels ?? null,
    ...(config.StopSignal === undefined ? {} : { StopSignal: config.StopSignal }),
    ...(config.StopTimeout === undefined ? {} : { StopTimeout: config.StopTimeout }),
    ...(config.Shell === undefined ? {} : { Shell: config.Shell }),
  };
  if (apiMinor >= 50) return shared;
  return {
    Hostname: config.Hostname ?? '',
    Domainname: config.Domainname ?? '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Image: '',
    ...shared,
  };
}
