/** The text of a transfer's progress: a line for each layer that fits the terminal, and the summary. Pure. */
import { humanSize } from '../format/size-text.ts';
import type { LayerProgress, TransferTotals } from './transfer-progress.ts';

const STATUS_WIDTH = 'Downloading'.length;
const AMOUNT_WIDTH = 7;
const BAR_LEAST = 8;
const BAR_MOST = 40;

/** `dbb98c25cb65: Downloading  [=====>    ]  1.2MB/4.26MB    8.1MB/s  4s left`, as much of it as fits; the bar goes first, then the time left, then the rate. */
export function layerLine(layer: LayerProgress, columns: number): string {
  const name = `${layer.id}: ${layer.status}`;
  if (layer.current <= 0 && layer.total <= 0) return cut(name, columns);
  const head = `${layer.id}: ${layer.status.padEnd(STATUS_WIDTH)}`;
  const amounts = `  ${amountText(layer)}`;
  const rate = layer.bytesPerSecond === null ? '' : `  ${rateText(layer.bytesPerSecond).padStart(AMOUNT_WIDTH + 2)}`;
  const left = timeLeft(layer.total - layer.current, layer.bytesPerSecond);
  const time = left === '' ? '' : `  ${left}`;
  const bar = barText(layer, columns - head.length - amounts.length - rate.length - time.length - 2);
  const choices = [head + bar + amounts + rate + time, head + amounts + rate + time, head + amounts + rate, head + amounts, name];
  return choices.find((line) => line.length <= columns) ?? cut(name, columns);
}

export function runningSummary(totals: TransferTotals, columns: number): string {
  const layers = `${totals.settled}/${totals.layers} layers${totals.present > 0 ? `, ${totals.present} reused` : ''}`;
  const moved =
    totals.movedBytes > 0 ? `  ${humanSize(totals.movedBytes, 3)}${totals.isComplete ? ` of ${humanSize(totals.knownBytes, 3)}` : ''}` : '';
  const rate = totals.bytesPerSecond === null || totals.movedBytes === 0 ? '' : `  ${rateText(totals.bytesPerSecond)}`;
  const left = totals.isComplete ? timeLeft(totals.knownBytes - totals.movedBytes, totals.bytesPerSecond) : '';
  const time = left === '' ? '' : `  ${left}`;
  const choices = [layers + moved + rate + time, layers + moved + rate, layers + moved, layers];
  return choices.find((line) => line.length <= columns) ?? cut(layers, columns);
}

/** One line when all is done; empty when there is nothing to tell. */
export function finalSummary(totals: TransferTotals): string {
  const { verb, layers, present, movedBytes, elapsedMs } = totals;
  if (verb === null || layers === 0) return '';
  const where = verb === 'Downloaded' ? 'here' : 'there';
  if (present === layers) return layers === 1 ? `The layer was ${where} already` : `All ${layers} layers were ${where} already`;
  const seconds = elapsedMs / 1000;
  const rate = seconds > 0 && movedBytes > 0 ? ` (${rateText(movedBytes / seconds)})` : '';
  const what = movedBytes > 0 ? humanSize(movedBytes, 3) : count(layers - present);
  const rest =
    present > 0
      ? `; ${present} of ${count(layers)} ${present === 1 ? 'was' : 'were'} ${where} already`
      : movedBytes > 0
        ? `, ${count(layers)}`
        : '';
  return `${verb} ${what} in ${seconds.toFixed(1)}s${rate}${rest}`;
}

/** More layers than lines: those in motion are shown, in their order, and how many are not. */
export function chooseLayers(
  layers: readonly LayerProgress[],
  rows: number,
): { readonly shown: readonly LayerProgress[]; readonly hidden: number } {
  if (layers.length <= rows) return { shown: layers, hidden: 0 };
  const room = Math.max(0, rows - 1);
  const interest: Readonly<Record<LayerProgress['state'], number>> = { moving: 0, working: 1, waiting: 2, done: 3, present: 4 };
  const wanted = new Set([...layers].sort((a, b) => interest[a.state] - interest[b.state]).slice(0, room));
  return { shown: layers.filter((layer) => wanted.has(layer)), hidden: layers.length - room };
}

function amountText({ current, total, units }: LayerProgress): string {
  const amount = (value: number): string => (units === '' ? humanSize(value, 3) : `${value} ${units}`);
  return total > 0 && current <= total
    ? `${amount(current).padStart(AMOUNT_WIDTH)}/${amount(total).padEnd(AMOUNT_WIDTH)}`
    : amount(current).padStart(AMOUNT_WIDTH);
}

function barText({ current, total }: LayerProgress, room: number): string {
  const width = Math.min(BAR_MOST, room - 2);
  if (total <= 0 || width < BAR_LEAST) return '';
  const done = Math.min(width, Math.trunc((current / total) * width));
  return `  [${`${'='.repeat(done)}>`.slice(0, width).padEnd(width)}]`;
}

function rateText(bytesPerSecond: number): string {
  return `${humanSize(bytesPerSecond, 3)}/s`;
}

const NEVER_SECONDS = 100 * 3600;

function timeLeft(bytes: number, bytesPerSecond: number | null): string {
  if (bytesPerSecond === null || bytes <= 0) return '';
  const seconds = Math.ceil(bytes / bytesPerSecond);
  if (!(seconds < NEVER_SECONDS)) return 'stalled';
  if (seconds < 60) return `${seconds}s left`;
  if (seconds < 3600) return `${Math.trunc(seconds / 60)}m ${seconds % 60}s left`;
  return `${Math.trunc(seconds / 3600)}h ${Math.trunc((seconds % 3600) / 60)}m left`;
}

function count(layers: number): string {
  return `${layers} layer${layers === 1 ? '' : 's'}`;
}

function cut(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}
