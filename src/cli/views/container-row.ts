/** One line of `ps`, as templates see it. */
import type { ContainerSummary } from '../../client/types.ts';
import { ago, goTime } from '../format/duration-text.ts';
import { ellipsis, shortId } from '../format/ellipsis.ts';
import { goQuote } from '../format/go-quote.ts';
import { humanSize } from '../format/size-text.ts';
import { Struct, type Value } from '../template/go-value.ts';
import { portText } from './port-text.ts';

export const containerTable = '{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}';

export const containerRaw = `container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{.State}}
status: {{.Status}}
names: {{.Names}}
labels: {{- if .Labels}} {{.Labels}}{{end}}
ports: {{- if .Ports}} {{.Ports}}{{end}}
`;

export const containerHeaders: Readonly<Record<string, string>> = {
  ID: 'CONTAINER ID', Names: 'NAMES', Image: 'IMAGE', Command: 'COMMAND', CreatedAt: 'CREATED AT', RunningFor: 'CREATED', Ports: 'PORTS', State: 'STATE', Status: 'STATUS', Size: 'SIZE',
  Labels: 'LABELS', Mounts: 'MOUNTS', LocalVolumes: 'LOCAL VOLUMES', Networks: 'NETWORKS', Platform: 'PLATFORM',
}; // biome-ignore format: a table

const MOUNT_WIDTH = 15;
const COMMAND_WIDTH = 20;

export function containerRow(container: ContainerSummary, truncate: boolean, now = Date.now()): Struct {
  const labels = container.Labels ?? {};
  return new Struct(
    '*formatter.ContainerContext',
    {
      Command: goQuote(truncate ? ellipsis(container.Command, COMMAND_WIDTH) : container.Command),
      CreatedAt: () => goTime(container.Created),
      ID: truncate ? shortId(container.Id) : container.Id,
      Image: imageText(container, truncate),
      Labels: joinLabels(labels),
      LocalVolumes: String((container.Mounts ?? []).filter((mount) => mount.Type === 'volume').length),
      Mounts: (container.Mounts ?? []).map((mount) => mountText(mount.Name || mount.Source, truncate)).join(','),
      Names: namesText(container, truncate),
      Networks: Object.keys(container.NetworkSettings?.Networks ?? {})
        .sort()
        .join(','),
      Platform: null,
      Ports: portText(container.Ports ?? []),
      RunningFor: ago(container.Created, now),
      Size: sizeText(container),
      State: container.State,
      Status: container.Status,
      Label: (name: Value) => labels[String(name)] ?? '',
    },
    { sorted: true },
  );
}

export function joinLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',');
}

/** A name without tag that is only the id, is shortened like one. */
function imageText(container: ContainerSummary, truncate: boolean): string {
  const { Image: image, ImageID: imageId } = container;
  if (image === '') return '<no image>';
  if (!truncate) return image;
  const hex = image.replace(/^sha256:/, '');
  if (/^[0-9a-f]{12,64}$/.test(hex) && imageId.replace(/^sha256:/, '').startsWith(hex)) return shortId(hex);
  return image.replace(/^(.+:[^/@]+)@sha256:[0-9a-f]{64}$/, '$1').replace(/@sha256:[0-9a-f]{64}$/, '');
}

/** Shortened lists leave out the names that links gave (`/web/db`). */
function namesText(container: ContainerSummary, truncate: boolean): string {
  const names = (container.Names ?? []).map((name) => name.replace(/^\//, ''));
  return (truncate ? names.filter((name) => !name.includes('/')) : names).join(',');
}

function mountText(name: string, truncate: boolean): string {
  return truncate ? ellipsis(name, MOUNT_WIDTH) : name;
}

function sizeText(container: ContainerSummary): string {
  const own = humanSize(container.SizeRw ?? 0, 3);
  const all = container.SizeRootFs ?? 0;
  return all > 0 ? `${own} (virtual ${humanSize(all, 3)})` : own;
}
