/** What an image config says of how to run the image and how it was made. Everything in it was written by whoever made the image. */
import type { ImageConfig, ImageHistory, ImageRunConfig } from '../../oci/image-config.ts';
import { type Html, html } from './html.ts';
import { shortened, timeText } from './words.ts';

const valueLimit = 2000;
const entriesLimit = 300;

export function configView(config: ImageConfig): Html {
  return html`<h2>Config</h2>
<div class="card"><table><tbody>
${runRows(config.config)}
${config.author ? row('Author', config.author) : null}
</tbody></table></div>
${mapTable('Labels', config.config.Labels ?? {})}
${historyTable(config.history)}`;
}

function runRows(run: ImageRunConfig): readonly (Html | null)[] {
  const rows = [
    run.Entrypoint && row('Entrypoint', JSON.stringify(run.Entrypoint)),
    run.Cmd && row('Command', JSON.stringify(run.Cmd)),
    run.WorkingDir ? row('Working directory', run.WorkingDir) : null,
    run.User ? row('User', run.User) : null,
    run.Env && lines('Environment', run.Env),
    run.ExposedPorts && lines('Ports', Object.keys(run.ExposedPorts)),
    run.Volumes && lines('Volumes', Object.keys(run.Volumes)),
    run.StopSignal ? row('Stop signal', run.StopSignal) : null,
    run.Healthcheck?.Test && row('Health check', JSON.stringify(run.Healthcheck.Test)),
    run.Shell && row('Shell', JSON.stringify(run.Shell)),
    run.OnBuild && lines('On build', run.OnBuild),
  ].map((entry) => entry ?? null);
  return rows.some((entry) => entry !== null) ? rows : [html`<tr><td class="soft">Empty</td></tr>`];
}

function row(name: string, value: string): Html {
  return html`<tr><th>${name}</th><td><code>${shortened(value, valueLimit)}</code></td></tr>
`;
}

function lines(name: string, values: readonly string[]): Html | null {
  if (values.length === 0) return null;
  const shown = values.slice(0, entriesLimit).map((value) => shortened(value, valueLimit));
  if (values.length > shown.length) shown.push(`… ${values.length - shown.length} more`);
  return html`<tr><th>${name}</th><td><pre>${shown.join('\n')}</pre></td></tr>
`;
}

function mapTable(title: string, map: Readonly<Record<string, string>>): Html | null {
  const entries = Object.entries(map);
  if (entries.length === 0) return null;
  return html`<h2>${title}</h2>
<div class="card"><table><tbody>
${entries.slice(0, entriesLimit).map(([key, value]) => row(shortened(key, 200), value))}
</tbody></table></div>`;
}

function historyTable(history: readonly ImageHistory[]): Html | null {
  if (history.length === 0) return null;
  return html`<h2>History</h2>
<div class="card"><table>
<thead><tr><th>When</th><th>What</th></tr></thead>
<tbody>${history.slice(0, entriesLimit).map(historyRow)}</tbody>
</table></div>`;
}

function historyRow({ created, created_by: madeBy, comment, empty_layer: empty }: ImageHistory): Html {
  return html`<tr class="${empty ? 'empty' : 'layer'}"><td class="small">${created === undefined ? '' : timeText(created)}</td>
<td><code>${shortened(madeBy ?? '', valueLimit)}</code>${comment ? html`<br><span class="soft small">${shortened(comment, 200)}</span>` : null}</td></tr>
`;
}
