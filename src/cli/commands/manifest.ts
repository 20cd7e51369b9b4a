/** `manifest inspect|create|annotate|push|rm`: lists of images for several platforms. Docker's client asks registries itself; here the daemon does, with its mirrors and certificates. */
import { ApiError } from '../../client/api-client.ts';
import type { ManifestPlatform, RemoteManifest } from '../../client/manifest-api.ts';
import { canonicalName, familiarReference, type ImageReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, oneArgument, someArguments } from '../command.ts';
import { credentialsFor } from '../config/credentials.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { type ListedManifest, LocalLists } from '../manifest/local-lists.ts';
import { documentOf, isList, listedManifest, manifestList } from '../manifest/manifest-list.ts';
import { requireInsecure } from '../manifest/require-insecure.ts';

export const manifestInspect: Command = {
  usage: '[OPTIONS] [MANIFEST_LIST] MANIFEST',
  flags: defineFlags(`
      --insecure   Allow communication with an insecure registry
  -v, --verbose    Output additional info including layers and platform
`),
  args: { min: 1, max: 2 },
  async run(context) {
    const [first = '', second] = context.args;
    const lists = new LocalLists(context.config.directory);
    const verbose = context.flags.bool('verbose');
    if (second !== undefined) return printMember(context, lists, nameOf(first), nameOf(second));
    const name = nameOf(first);
    const local = lists.read(name);
    if (local !== null) context.print(verbose ? `${JSON.stringify(local, null, '\t')}\n` : `${manifestList(local).text}\n`);
    else context.print(await remoteText(context, first, verbose));
    return 0;
  },
};

export const manifestCreate: Command = {
  usage: '[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]',
  flags: defineFlags(`
  -a, --amend      Amend an existing manifest list
      --insecure   Allow communication with an insecure registry
`),
  args: { min: 2, max: Number.POSITIVE_INFINITY },
  async run(context) {
    const [list = '', ...members] = context.args;
    const lists = new LocalLists(context.config.directory);
    const name = nameOf(list);
    if (lists.read(name) !== null && !context.flags.bool('amend'))
      throw new CliError('refusing to amend an existing manifest list with no --amend flag');
    // All of them are asked for before anything is written.
    const found: ListedManifest[] = [];
    for (const member of members) {
      const remote = await fetchManifest(context, member);
      if (isList(remote)) throw new CliError(`${nameOf(member)} is a manifest list`);
      found.push(listedManifest(nameOf(member), remote));
    }
    for (const manifest of found) lists.write(name, manifest);
    context.print(`Created manifest list ${name}\n`);
    return 0;
  },
};

export const manifestAnnotate: Command = {
  usage: '[OPTIONS] MANIFEST_LIST MANIFEST',
  flags: defineFlags(`
      --arch string           Set architecture
      --os string             Set operating system
      --os-features strings   Set operating system feature
      --os-version string     Set operating system version
      --variant string        Set architecture variant
`),
  args: { min: 2, max: 2 },
  async run(context) {
    const { flags, args, config } = context;
    const [list, image] = [nameOf(args[0] ?? ''), nameOf(args[1] ?? '')];
    const lists = new LocalLists(config.directory);
    const listed = lists.find(list, image);
    if (listed === null) throw new CliError(`manifest for image ${args[1]} does not exist in ${args[0]}`);
    const before: ManifestPlatform = listed.Descriptor.platform ?? { architecture: '', os: '' };
    const features = flags.list('os-features').flatMap((text) => text.split(','));
    const platform: ManifestPlatform = {
      ...before,
      ...(flags.has('arch') ? { architecture: flags.string('arch') } : {}),
      ...(flags.has('os') ? { os: flags.string('os') } : {}),
      ...(flags.has('variant') ? { variant: flags.string('variant') } : {}),
      ...(flags.has('os-version') ? { 'os.version': flags.string('os-version') } : {}),
      ...(features.length > 0 ? { 'os.features': features } : {}),
    };
    if (!isPlatform(platform))
      throw new CliError(`manifest entry for image has unsupported os/arch combination: ${platform.os}/${platform.architecture}`);
    lists.write(list, { ...listed, Descriptor: { ...listed.Descriptor, platform } });
    return 0;
  },
};

export const manifestPush: Command = {
  usage: '[OPTIONS] MANIFEST_LIST',
  flags: defineFlags(`
      --insecure   Allow push to an insecure registry
  -p, --purge      Remove the local manifest list after push
`),
  args: oneArgument,
  async run(context) {
    const lists = new LocalLists(context.config.directory);
    const target = withDefaultTag(parseReference(context.args[0] ?? ''));
    const name = familiarReference(target);
    const members = lists.read(name);
    if (members === null) throw new CliError(`No such manifest: ${name}`);
    await bringMembers(context, target, members);
    const { mediaType, text } = manifestList(members);
    const credentials = await credentialsFor(context, target.domain);
    const raw = Buffer.from(text).toString('base64');
    const { digest } = await context.client.manifests.put(name, mediaType, raw, credentials);
    context.print(`${digest}\n`);
    if (context.flags.bool('purge')) lists.remove(name);
    return 0;
  },
};

export const manifestRm: Command = {
  usage: 'MANIFEST_LIST [MANIFEST_LIST...]',
  flags: [],
  args: someArguments,
  async run(context) {
    const lists = new LocalLists(context.config.directory);
    const missing = context.args.map(nameOf).filter((name) => !lists.remove(name));
    if (missing.length > 0) throw new CliError(missing.map((name) => `No such manifest: ${name}`).join('\n'));
    return 0;
  },
};

/** What the list names must be in its own repository before the list can be. */
async function bringMembers(context: CommandContext, target: ImageReference, members: readonly ListedManifest[]): Promise<void> {
  await requireInsecure(context, target.domain);
  const credentials = await credentialsFor(context, target.domain);
  for (const { Ref, Descriptor } of members) {
    const { domain, path } = parseReference(Ref);
    if (domain !== target.domain)
      throw new CliError(`cannot use source images from a different registry than the target image: ${domain} != ${target.domain}`);
    const source = `${canonicalName({ domain, path, tag: null, digest: null })}@${Descriptor.digest}`;
    const { digest } = await context.client.manifests.bring(source, canonicalName(target), credentials);
    context.print(`Pushed ref ${canonicalName(target)}@${Descriptor.digest} with digest: ${digest}\n`);
  }
}

function printMember(context: CommandContext, lists: LocalLists, list: string, image: string): number {
  const listed = lists.find(list, image);
  if (listed === null) throw new CliError(`No such manifest: ${image}`);
  context.print(`${JSON.stringify(context.flags.bool('verbose') ? listed : documentOf(listed.Raw), null, '\t')}\n`);
  return 0;
}

async function remoteText(context: CommandContext, name: string, verbose: boolean): Promise<string> {
  const remote = await fetchManifest(context, name);
  const json = (value: unknown): string => `${JSON.stringify(value, null, '\t')}\n`;
  if (!isList(remote)) return json(verbose ? listedManifest(nameOf(name), remote) : documentOf(remote.Raw));
  const list = documentOf(remote.Raw) as { readonly manifests: readonly ListedManifest['Descriptor'][] };
  if (!verbose) return `${JSON.stringify(list, null, 3)}\n`;
  const reference = parseReference(name);
  const members: ListedManifest[] = [];
  for (const { digest, platform } of list.manifests) {
    const member = familiarReference({ ...reference, tag: null, digest: null });
    const listed = listedManifest(`${member}@${digest}`, await fetchManifest(context, `${member}@${digest}`));
    members.push({ ...listed, Descriptor: { ...listed.Descriptor, ...(platform === undefined ? {} : { platform }) } });
  }
  return json(members);
}

async function fetchManifest(context: CommandContext, name: string): Promise<RemoteManifest> {
  const reference = withDefaultTag(parseReference(name));
  await requireInsecure(context, reference.domain);
  try {
    return await context.client.manifests.get(familiarReference(reference), await credentialsFor(context, reference.domain));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) throw new CliError(`no such manifest: ${familiarReference(reference)}`);
    throw error;
  }
}

function nameOf(text: string): string {
  return familiarReference(withDefaultTag(parseReference(text)));
}

const SYSTEMS = [
  'aix',
  'android',
  'darwin',
  'dragonfly',
  'freebsd',
  'illumos',
  'ios',
  'js',
  'linux',
  'netbsd',
  'openbsd',
  'plan9',
  'solaris',
  'windows',
];

/** An index may name platforms that this machine has never heard of, but not half a one. */
function isPlatform({ os, architecture }: ManifestPlatform): boolean {
  return SYSTEMS.includes(os) && /^[a-z0-9_]+$/.test(architecture);
}
