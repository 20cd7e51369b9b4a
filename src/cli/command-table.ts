/** Every command: its names, its line in the help, and its file, loaded only when it is run. */
import type { Command } from './command.ts';

export interface CommandEntry {
  /** The first is the one shown in lists of its group; the others are aliases. Two words: group and command. */
  readonly paths: readonly string[];
  readonly summary: string;
  load(): Promise<Command>;
}

export const commandTable: readonly CommandEntry[] = [
  {
    paths: ['container run', 'run'],
    summary: 'Create and run a new container from an image',
    load: async () => (await import('./commands/run.ts')).run,
  },
  {
    paths: ['container create', 'create'],
    summary: 'Create a new container',
    load: async () => (await import('./commands/create.ts')).create,
  },
  {
    paths: ['container start', 'start'],
    summary: 'Start one or more stopped containers',
    load: async () => (await import('./commands/start.ts')).start,
  },
  {
    paths: ['container attach', 'attach'],
    summary: 'Attach local standard input, output, and error streams to a running container',
    load: async () => (await import('./commands/attach.ts')).attach,
  },
  {
    paths: ['container exec', 'exec'],
    summary: 'Execute a command in a running container',
    load: async () => (await import('./commands/exec.ts')).exec,
  },
  {
    paths: ['container logs', 'logs'],
    summary: 'Fetch the logs of a container',
    load: async () => (await import('./commands/logs.ts')).logs,
  },
  {
    paths: ['container ls', 'ps', 'container list', 'container ps'],
    summary: 'List containers',
    load: async () => (await import('./commands/container-ls.ts')).containerLs,
  },
  {
    paths: ['container inspect'],
    summary: 'Display detailed information on one or more containers',
    load: async () => (await import('./commands/inspect-kinds.ts')).containerInspect,
  },
  {
    paths: ['container stop', 'stop'],
    summary: 'Stop one or more running containers',
    load: async () => (await import('./commands/container-verbs.ts')).stop,
  },
  {
    paths: ['container restart', 'restart'],
    summary: 'Restart one or more containers',
    load: async () => (await import('./commands/container-verbs.ts')).restart,
  },
  {
    paths: ['container kill', 'kill'],
    summary: 'Kill one or more running containers',
    load: async () => (await import('./commands/container-verbs.ts')).kill,
  },
  {
    paths: ['container rm', 'rm', 'container remove'],
    summary: 'Remove one or more containers',
    load: async () => (await import('./commands/container-rm.ts')).containerRm,
  },
  {
    paths: ['container rename', 'rename'],
    summary: 'Rename a container',
    load: async () => (await import('./commands/container-verbs.ts')).rename,
  },
  {
    paths: ['container wait', 'wait'],
    summary: 'Block until one or more containers stop, then print their exit codes',
    load: async () => (await import('./commands/wait.ts')).wait,
  },
  {
    paths: ['container pause', 'pause'],
    summary: 'Pause all processes within one or more containers',
    load: async () => (await import('./commands/container-verbs.ts')).pause,
  },
  {
    paths: ['container unpause', 'unpause'],
    summary: 'Unpause all processes within one or more containers',
    load: async () => (await import('./commands/container-verbs.ts')).unpause,
  },
  {
    paths: ['container stats', 'stats'],
    summary: 'Display a live stream of container(s) resource usage statistics',
    load: async () => (await import('./commands/stats.ts')).stats,
  },
  {
    paths: ['container top', 'top'],
    summary: 'Display the running processes of a container, or of all, live',
    load: async () => (await import('./commands/top.ts')).top,
  },
  {
    paths: ['container port', 'port'],
    summary: 'List port mappings or a specific mapping for the container',
    load: async () => (await import('./commands/container-details.ts')).port,
  },
  {
    paths: ['container update', 'update'],
    summary: 'Update configuration of one or more containers',
    load: async () => (await import('./commands/container-update.ts')).containerUpdate,
  },
  {
    paths: ['debug'],
    summary: 'Run tools beside a running container, in its namespaces; it needs no shell of its own (beyond Docker)',
    load: async () => (await import('./commands/debug.ts')).debug,
  },
  {
    paths: ['lease'],
    summary: 'Run a program; what it creates is removed when it ends (beyond Docker)',
    load: async () => (await import('./commands/lease.ts')).lease,
  },
  {
    paths: ['ports'],
    summary: 'List every published port: whose it is, and from where it can be reached (beyond Docker)',
    load: async () => (await import('./commands/ports.ts')).ports,
  },
  {
    paths: ['container cp', 'cp'],
    summary: 'Copy files/folders between a container and the local filesystem, or between containers',
    load: async () => (await import('./commands/cp.ts')).cp,
  },
  {
    paths: ['container export', 'export'],
    summary: "Export a container's filesystem as a tar archive",
    load: async () => (await import('./commands/container-export.ts')).containerExport,
  },
  {
    paths: ['container commit', 'commit'],
    summary: "Create a new image from a container's changes",
    load: async () => (await import('./commands/commit.ts')).commit,
  },
  {
    paths: ['container diff', 'diff'],
    summary: "Inspect changes to files or directories on a container's filesystem",
    load: async () => (await import('./commands/container-details.ts')).diff,
  },
  {
    paths: ['container prune'],
    summary: 'Remove all stopped containers',
    load: async () => (await import('./commands/prune.ts')).containerPrune,
  },
  {
    paths: ['image build', 'build', 'builder build', 'buildx build'],
    summary: 'Build an image from a Dockerfile',
    load: async () => (await import('./commands/build.ts')).build,
  },
  {
    paths: ['builder df', 'builder du', 'buildx du'],
    summary: 'Show what the build cache holds',
    load: async () => (await import('./commands/builder-df.ts')).builderDf,
  },
  {
    paths: ['builder prune', 'buildx prune'],
    summary: 'Remove build cache',
    load: async () => (await import('./commands/builder-prune.ts')).builderPrune,
  },
  {
    paths: ['builder history', 'builder history ls', 'buildx history ls', 'buildx history'],
    summary: 'List the builds that there were',
    load: async () => (await import('./commands/builder-history.ts')).builderHistoryLs,
  },
  {
    paths: ['builder history inspect', 'buildx history inspect'],
    summary: 'Show one of the builds that there were, the latest if none is named',
    load: async () => (await import('./commands/builder-history.ts')).builderHistoryInspect,
  },
  {
    paths: ['builder ls', 'buildx ls'],
    summary: 'List builders: there is one',
    load: async () => (await import('./commands/builder-info.ts')).builderLs,
  },
  {
    paths: ['builder inspect', 'buildx inspect'],
    summary: 'Show the builder',
    load: async () => (await import('./commands/builder-info.ts')).builderInspect,
  },
  {
    paths: ['builder version', 'buildx version'],
    summary: 'Show the version of this command',
    load: async () => (await import('./commands/builder-info.ts')).builderVersion,
  },
  {
    paths: ['image ls', 'images', 'image list'],
    summary: 'List images',
    load: async () => (await import('./commands/image-ls.ts')).imageLs,
  },
  {
    paths: ['image inspect'],
    summary: 'Display detailed information on one or more images',
    load: async () => (await import('./commands/inspect-kinds.ts')).imageInspect,
  },
  {
    paths: ['image rm', 'rmi', 'image remove'],
    summary: 'Remove one or more images',
    load: async () => (await import('./commands/image-rm.ts')).imageRm,
  },
  {
    paths: ['image history', 'history'],
    summary: 'Show the history of an image',
    load: async () => (await import('./commands/image-history.ts')).imageHistory,
  },
  {
    paths: ['image tag', 'tag'],
    summary: 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
    load: async () => (await import('./commands/image-tag.ts')).imageTag,
  },
  {
    paths: ['image load', 'load'],
    summary: 'Load an image from a tar archive or STDIN',
    load: async () => (await import('./commands/image-load.ts')).imageLoad,
  },
  {
    paths: ['image save', 'save'],
    summary: 'Save one or more images to a tar archive (streamed to STDOUT by default)',
    load: async () => (await import('./commands/image-save.ts')).imageSave,
  },
  {
    paths: ['image import', 'import'],
    summary: 'Import the contents from a tarball to create a filesystem image',
    load: async () => (await import('./commands/image-import.ts')).imageImport,
  },
  {
    paths: ['image pull', 'pull'],
    summary: 'Download an image from a registry',
    load: async () => (await import('./commands/image-pull.ts')).imagePull,
  },
  {
    paths: ['image push', 'push'],
    summary: 'Upload an image to a registry',
    load: async () => (await import('./commands/image-push.ts')).imagePush,
  },
  {
    paths: ['search'],
    summary: 'Search Docker Hub, or another registry, for images',
    load: async () => (await import('./commands/search.ts')).search,
  },
  {
    paths: ['image verify'],
    summary: 'Read images again and tell what is damaged or missing (beyond Docker)',
    load: async () => (await import('./commands/image-verify.ts')).imageVerify,
  },
  {
    paths: ['image diff'],
    summary: 'Show which files and layers differ between two images (beyond Docker)',
    load: async () => (await import('./commands/image-diff.ts')).imageDiff,
  },
  {
    paths: ['image why'],
    summary: 'Show who needs a layer or another blob (beyond Docker)',
    load: async () => (await import('./commands/image-why.ts')).imageWhy,
  },
  {
    paths: ['manifest annotate'],
    summary: 'Add additional information to a local image manifest',
    load: async () => (await import('./commands/manifest.ts')).manifestAnnotate,
  },
  {
    paths: ['manifest create'],
    summary: 'Create a local manifest list for annotating and pushing to a registry',
    load: async () => (await import('./commands/manifest.ts')).manifestCreate,
  },
  {
    paths: ['manifest inspect'],
    summary: 'Display an image manifest, or manifest list',
    load: async () => (await import('./commands/manifest.ts')).manifestInspect,
  },
  {
    paths: ['manifest push'],
    summary: 'Push a manifest list to a repository',
    load: async () => (await import('./commands/manifest.ts')).manifestPush,
  },
  {
    paths: ['manifest rm'],
    summary: 'Delete one or more manifest lists from local storage',
    load: async () => (await import('./commands/manifest.ts')).manifestRm,
  },
  { paths: ['image prune'], summary: 'Remove unused images', load: async () => (await import('./commands/prune.ts')).imagePrune },
  {
    paths: ['network create'],
    summary: 'Create a network',
    load: async () => (await import('./commands/network-create.ts')).networkCreate,
  },
  {
    paths: ['network connect'],
    summary: 'Connect a container to a network',
    load: async () => (await import('./commands/network-connect.ts')).networkConnect,
  },
  {
    paths: ['network disconnect'],
    summary: 'Disconnect a container from a network',
    load: async () => (await import('./commands/network-connect.ts')).networkDisconnect,
  },
  {
    paths: ['network rm', 'network remove'],
    summary: 'Remove one or more networks',
    load: async () => (await import('./commands/network-rm.ts')).networkRm,
  },
  {
    paths: ['network ls', 'network list'],
    summary: 'List networks',
    load: async () => (await import('./commands/network-ls.ts')).networkLs,
  },
  {
    paths: ['network inspect'],
    summary: 'Display detailed information on one or more networks',
    load: async () => (await import('./commands/inspect-kinds.ts')).networkInspect,
  },
  { paths: ['network prune'], summary: 'Remove all unused networks', load: async () => (await import('./commands/prune.ts')).networkPrune },
  {
    paths: ['volume create'],
    summary: 'Create a volume',
    load: async () => (await import('./commands/volume-create.ts')).volumeCreate,
  },
  {
    paths: ['volume rm', 'volume remove'],
    summary: 'Remove one or more volumes. You cannot remove a volume that is in use by a container',
    load: async () => (await import('./commands/volume-rm.ts')).volumeRm,
  },
  {
    paths: ['volume rename'],
    summary: 'Rename a volume (beyond Docker)',
    load: async () => (await import('./commands/volume-copies.ts')).volumeRename,
  },
  {
    paths: ['volume clone'],
    summary: 'Make a new volume with the content of another (beyond Docker)',
    load: async () => (await import('./commands/volume-copies.ts')).volumeClone,
  },
  {
    paths: ['volume export'],
    summary: "Write a volume's content as a tar archive (streamed to STDOUT by default; beyond Docker)",
    load: async () => (await import('./commands/volume-transfer.ts')).volumeExport,
  },
  {
    paths: ['volume import'],
    summary: 'Fill a volume from a tar archive or STDIN (beyond Docker)',
    load: async () => (await import('./commands/volume-transfer.ts')).volumeImport,
  },
  { paths: ['volume ls', 'volume list'], summary: 'List volumes', load: async () => (await import('./commands/volume-ls.ts')).volumeLs },
  {
    paths: ['volume inspect'],
    summary: 'Display detailed information on one or more volumes',
    load: async () => (await import('./commands/inspect-kinds.ts')).volumeInspect,
  },
  { paths: ['volume prune'], summary: 'Remove unused local volumes', load: async () => (await import('./commands/prune.ts')).volumePrune },
  {
    paths: ['device ls', 'device list'],
    summary: 'List GPUs and other devices that containers can be given (beyond Docker)',
    load: async () => (await import('./commands/device-ls.ts')).deviceLs,
  },
  {
    paths: ['device inspect'],
    summary: 'Show what a container gets with a device (beyond Docker)',
    load: async () => (await import('./commands/inspect-kinds.ts')).deviceInspect,
  },
  {
    paths: ['inspect'],
    summary: 'Return low-level information on Docker objects',
    load: async () => (await import('./commands/inspect.ts')).inspect,
  },
  { paths: ['system df'], summary: 'Show disk usage', load: async () => (await import('./commands/system-df.ts')).systemDf },
  {
    paths: ['system events', 'events'],
    summary: 'Get real time events from the server',
    load: async () => (await import('./commands/events.ts')).events,
  },
  {
    paths: ['system info', 'info'],
    summary: 'Display system-wide information',
    load: async () => (await import('./commands/info.ts')).info,
  },
  {
    paths: ['system fsck'],
    summary: 'List what should not be there or is missing, and repair it (beyond Docker)',
    load: async () => (await import('./commands/system-fsck.ts')).systemFsck,
  },
  { paths: ['system prune'], summary: 'Remove unused data', load: async () => (await import('./commands/prune.ts')).systemPrune },
  {
    paths: ['system reset'],
    summary: 'Remove everything that the daemon has, and its data root (beyond Docker)',
    load: async () => (await import('./commands/system-reset.ts')).systemReset,
  },
  {
    paths: ['system stop'],
    summary: 'Stop the daemon; containers go on running',
    load: async () => (await import('./commands/system-stop.ts')).systemStop,
  },
  {
    paths: ['version'],
    summary: 'Show the version information of client and daemon',
    load: async () => (await import('./commands/version.ts')).version,
  },
  {
    paths: ['completion'],
    summary: 'Print a script that completes command lines: source <(gantry completion bash)',
    load: async () => (await import('./commands/completion.ts')).completion,
  },
  { paths: ['login'], summary: 'Authenticate to a registry', load: async () => (await import('./commands/login.ts')).login },
  { paths: ['logout'], summary: 'Log out from a registry', load: async () => (await import('./commands/login.ts')).logout },
  { paths: ['context ls', 'context list'], summary: 'List contexts', load: async () => (await import('./commands/context.ts')).contextLs },
  { paths: ['context use'], summary: 'Set the current context', load: async () => (await import('./commands/context.ts')).contextUse },
  {
    paths: ['context show'],
    summary: 'Print the name of the current context',
    load: async () => (await import('./commands/context.ts')).contextShow,
  },
];

export const groups: Readonly<Record<string, string>> = {
  builder: 'Manage builds and their cache',
  buildx: "Docker's other name for builder",
  container: 'Manage containers',
  context: 'Manage contexts',
  device: 'Manage GPUs and other devices',
  image: 'Manage images',
  manifest: 'Manage manifests and manifest lists of images for several platforms',
  network: 'Manage networks',
  system: 'Manage Gantry',
  volume: 'Manage volumes',
};

/** Docker's other commands: known by name, so that the answer is "not yet" and not "unknown". */
export const missingCommands: readonly string[] = [
  'checkpoint', 'compose', 'config',
  'context create', 'context export', 'context import', 'context inspect', 'context rm', 'context update',
  'node', 'plugin', 'secret', 'service', 'stack', 'swarm', 'trust',
  'volume update',
]; // biome-ignore format: a list of words
