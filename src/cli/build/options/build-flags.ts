/** The flags of `gantry build`: those of `docker build` and `docker buildx build`, and ours, in the groups that its help shows. */
import { defineFlags, type FlagSpecs } from '../../flags/flag-spec.ts';

export interface FlagGroup {
  readonly title: string;
  readonly flags: FlagSpecs;
}

export const buildFlagGroups: readonly FlagGroup[] = [
  group(
    'What is built',
    `
  -f, --file string             Dockerfile: a path, a URL, or - for standard input (default "PATH/Dockerfile")
      --target string           Stage to build (the last one if not given)
      --build-arg list          Value of an ARG: NAME=VALUE, or NAME for the value that our environment has
      --build-context list      Another context for FROM, COPY --from and mounts: NAME=PATH, a Git or HTTP address, docker-image://REF or oci-layout://PATH
      --platform list           Platforms to build for: linux/amd64,linux/arm64
      --secret list             For RUN --mount=type=secret: id=ID[,src=PATH][,env=VARIABLE]
      --ssh list                For RUN --mount=type=ssh: default, or ID[=SOCKET|KEY[,KEY]]
      --no-cache                Run every step
      --no-cache-filter list    Run every step of these stages
      --pull                    Ask the registry for base images even when they are here
      --timestamp string        Time of what the image has: base (that of its base image), context, git, now, or seconds since 1970; SOURCE_DATE_EPOCH of the environment does the same (beyond Docker)
`,
  ),
  group(
    'What comes of it',
    `
  -t, --tag list                Name of the image: NAME[:TAG]
  -o, --output list             Where it goes: a directory, - (a tar), or type=local|tar|oci|docker|image|registry[,dest=PATH][,KEY=VALUE]
      --load                    Into the image store, beside other outputs
      --push                    To the registry of each name
      --label list              Metadata of the image: NAME=VALUE
      --annotation list         Metadata of manifest or index: [manifest|index|…[PLATFORM]:]NAME=VALUE
      --squash                  One layer above the base image
      --provenance string       Attest how it was built: true, mode=min, mode=max
      --sbom string             Attest what is in it: true
      --attest list             The same in one flag: type=provenance[,mode=max] or type=sbom
      --iidfile string          Write the image's ID to this file
      --metadata-file string    Write what was built, as JSON, to this file
      --cache-from list         Take steps from NAME, type=registry,ref=NAME or type=local,src=PATH
      --cache-to list           Put steps to type=inline, type=registry,ref=NAME or type=local,dest=PATH; mode=max: those of all stages; mounts=true: cache mounts too
`,
  ),
  group(
    'How it is shown',
    `
      --progress string         auto, tty, plain, quiet or rawjson (default "auto"; BUILDKIT_PROGRESS of the environment does the same)
  -q, --quiet                   Print the image's ID only
      --explain                 Tell for each step why it was taken from the cache, or why not (beyond Docker)
      --verify                  Build twice without cache and tell what differs (beyond Docker)
      --watch                   Build again whenever the context or the Dockerfile changes (beyond Docker)
      --shell-on-error          When a step fails, a shell in the state before it (beyond Docker)
      --check                   Build nothing, run the build checks
      --call string             build, check, outline or targets; with ,format=json for programs
`,
  ),
  group(
    'How steps run',
    `
      --network string          Network of every RUN: default, none, host, or the name of a network (default "default")
      --add-host list           Line in /etc/hosts: HOST:IP, or HOST:host-gateway
      --allow list              Let RUN ask for network.host, security.insecure or device; device=NAME: for this one
      --gpus gpu-request        GPUs that every RUN gets: all, a number, or device=0,… as in run (beyond Docker)
      --shm-size string         Size of /dev/shm
      --ulimit list             NAME=SOFT[:HARD]
      --cgroup-parent string    Parent cgroup
  -m, --memory string           Memory limit
      --memory-swap string      Limit of memory and swap together; -1: unlimited swap
  -c, --cpu-shares int          CPU shares (relative weight)
      --cpu-period int          Limit the CPU CFS (Completely Fair Scheduler) period
      --cpu-quota int           Limit the CPU CFS (Completely Fair Scheduler) quota
      --cpuset-cpus string      CPUs in which to allow execution (0-3, 0,1)
      --cpuset-mems string      MEMs in which to allow execution (0-3, 0,1)
      --resource list           The limits as one flag: memory=1g, cpu-quota=50000, …
`,
  ),
  group(
    "Accepted for Docker's sake",
    `
      --rm                      Nothing of a step is left in any case (default true)
      --force-rm                The same
      --compress                Only what has changed is sent in any case
      --isolation string        default is what there is
      --security-opt list       Refused: RUN --security is what a Dockerfile has
      --builder string          default is what there is
`,
  ),
];

export const buildFlags: FlagSpecs = buildFlagGroups.flatMap(({ flags }) => flags);

export const buildExamples = `  gantry build -t web .                              the Dockerfile of this directory
  gantry build -f docker/prod.Dockerfile -t web:1 .  another Dockerfile
  gantry build --target test -o out .                a stage's files into a directory
  gantry build --push -t registry.example/web .      to a registry, when it is built
  gantry build --secret id=npm,src=$HOME/.npmrc .    what RUN --mount=type=secret,id=npm reads
  gantry build https://github.com/org/repo.git#v1    from a tag of a repository
  gantry build --explain -t web .                    why each step was, or was not, taken from the cache
  gantry build --shell-on-error -t web .             a look around where it fails
`;

function group(title: string, lines: string): FlagGroup {
  return { title, flags: defineFlags(lines) };
}
