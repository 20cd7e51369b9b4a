/**
 * What the variables of images for GPUs say: which GPUs (NVIDIA_VISIBLE_DEVICES, AMD_VISIBLE_DEVICES) and which parts of the driver (NVIDIA_DRIVER_CAPABILITIES).
 * Images of nvidia/cuda carry `all`: it depends on who asks whether that is a request.
 */
import { invalid } from '../../base/errors.ts';
import type { GpuMaker } from '../gpu-vendor.ts';
import { quoted } from './quoted.ts';

/** `driver`: no GPU, but the libraries and programs. */
export type WhichGpus =
  | { readonly kind: 'all' }
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'ids'; readonly ids: readonly string[] }
  | { readonly kind: 'driver' }
  | { readonly kind: 'nothing' };

export type Environment = ReadonlyMap<string, string>;

const visibleVariables: Readonly<Record<GpuMaker, string | null>> = {
  nvidia: 'NVIDIA_VISIBLE_DEVICES',
  amd: 'AMD_VISIBLE_DEVICES',
  intel: null,
};

export const nvidiaCapabilities: readonly string[] = ['compute', 'utility', 'video', 'graphics', 'display', 'compat32', 'ngx'];
const usualCapabilities = ['compute', 'utility'];
const capabilitiesVariable = 'NVIDIA_DRIVER_CAPABILITIES';

/** The last one of a name counts. */
export function environmentOf(variables: readonly string[]): Environment {
  return new Map(
    variables.map((variable) => {
      const at = variable.indexOf('=');
      return at < 0 ? [variable, ''] : [variable.slice(0, at), variable.slice(at + 1)];
    }),
  );
}

export interface GpusOfEnvironment {
  readonly maker: GpuMaker;
  readonly which: WhichGpus;
  /** `NVIDIA_VISIBLE_DEVICES` */
  readonly variable: string;
}

/** The maker whose variable asks for GPUs; null: none does. */
export function gpusOfEnvironment(environment: Environment): GpusOfEnvironment | null {
  for (const maker of ['nvidia', 'amd'] as const) {
    const variable = visibleVariables[maker] ?? '';
    const which = whichOfIds((environment.get(variable) ?? '').split(','));
    if (which.kind !== 'nothing') return { maker, which, variable };
  }
  return null;
}

/** `0,GPU-…`, `all`, `none` (the driver without a GPU), `void` and nothing at all. */
export function whichOfIds(texts: readonly string[]): WhichGpus {
  const ids = [...new Set(texts.map((text) => text.trim()).filter((text) => text !== ''))];
  if (ids.length === 0 || ids.includes('void')) return { kind: 'nothing' };
  if (ids.includes('all')) return { kind: 'all' };
  const named = ids.filter((id) => id !== 'none');
  return named.length === 0 ? { kind: 'driver' } : { kind: 'ids', ids: named };
}

/** As Docker tells a container what it got; `names` are those of GPUs chosen by count. */
export function visibleVariable(maker: GpuMaker, which: WhichGpus, names: readonly string[]): readonly string[] {
  const variable = visibleVariables[maker];
  if (variable === null) return [];
  return [`${variable}=${visibleText(which, names)}`];
}

/** Of several requests: a variable is a list of what each of them got. */
export function joinVariables(variables: readonly string[]): readonly string[] {
  const lists = Map.groupBy(variables, (variable) => variable.slice(0, variable.indexOf('=')));
  return [...lists].map(([name, of]) => `${name}=${joinLists(of.map((variable) => variable.slice(name.length + 1)))}`);
}

function joinLists(texts: readonly string[]): string {
  const items = new Set(texts.flatMap((text) => text.split(',')));
  if (items.has('all')) return 'all';
  const named = [...items].filter((item) => item !== 'none' && item !== 'void');
  if (named.length > 0) return named.join(',');
  return items.has('none') ? 'none' : 'void';
}

function visibleText(which: WhichGpus, names: readonly string[]): string {
  switch (which.kind) {
    case 'all':
      return 'all';
    case 'count':
      return names.join(',');
    case 'ids':
      return which.ids.join(',');
    case 'driver':
      return 'none';
    case 'nothing':
      return 'void';
  }
}

export interface DriverCapabilities {
  readonly chosen: ReadonlySet<string>;
  /** Variables that tell the container, when the request said it. */
  readonly variables: readonly string[];
}

/** `asked`: the capabilities of a request that fitted, `gpu` and the maker's name among them. */
export function driverCapabilities(asked: readonly string[], environment: Environment): DriverCapabilities {
  const ofRequest = asked.filter((capability) => nvidiaCapabilities.includes(capability));
  if (ofRequest.length > 0) return { chosen: new Set(ofRequest), variables: [`${capabilitiesVariable}=${ofRequest.join(',')}`] };
  const texts = (environment.get(capabilitiesVariable) ?? '')
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  const unknown = texts.find((text) => text !== 'all' && !nvidiaCapabilities.includes(text));
  if (unknown !== undefined) {
    throw invalid(
      `the variable ${capabilitiesVariable} names ${quoted(unknown)}, which is no part of the NVIDIA driver: it may name all, or ${nvidiaCapabilities.join(', ')}. ` +
        `Say it with --env ${capabilitiesVariable}=…, or with --gpus 'all,"capabilities=…"'`,
    );
  }
  if (texts.length === 0) return { chosen: new Set(usualCapabilities), variables: [] };
  return { chosen: new Set(texts.includes('all') ? nvidiaCapabilities : texts), variables: [] };
}
