/**
 * What the messages of a pull, push or load say, gathered: layers in the order in which they were named first, each with its state, and what moved how fast. Pure:
 * the caller brings the time.
 */
import type { ProgressMessage } from '../../client/types.ts';

/**
 *     waiting ──▶ moving ──▶ working ──▶ done          `moving`: bytes cross the network; `working`: what comes after, on one side
 *        └──────────────────────────────▶ present      it was there before
 */
export type LayerState = 'waiting' | 'moving' | 'working' | 'done' | 'present';

export interface LayerProgress {
  readonly id: string;
  /** The daemon's words. */
  readonly status: string;
  readonly state: LayerState;
  /** Of what the status names; total 0: not known. */
  readonly current: number;
  readonly total: number;
  /** Empty: bytes. */
  readonly units: string;
  readonly bytesPerSecond: number | null;
}

export interface TransferTotals {
  readonly verb: 'Downloaded' | 'Uploaded' | null;
  readonly layers: number;
  readonly present: number;
  readonly settled: number;
  readonly movedBytes: number;
  /** Of all layers that have told their size; what is moved already included. */
  readonly knownBytes: number;
  /** False: a layer has not told its size yet. */
  readonly isComplete: boolean;
  /** Null: too early to tell, or nothing moves. */
  readonly bytesPerSecond: number | null;
  readonly elapsedMs: number;
}

const STATES: readonly (readonly [pattern: RegExp, state: LayerState])[] = [
  [/^(Downloading|Pushing|Loading layer|Importing)/, 'moving'],
  [/^(Already exists|Layer already exists|Mounted from)/, 'present'],
  [/^(Pull complete|Pushed|Loaded)/, 'done'],
  [/^(Verifying Checksum|Download complete|Extracting)/, 'working'],
];

const VERBS: readonly (readonly [pattern: RegExp, verb: 'Downloaded' | 'Uploaded'])[] = [
  [/^(Pulling fs layer|Downloading|Download complete|Already exists|Pull complete)/, 'Downloaded'],
  [/^(Preparing|Pushing|Pushed|Layer already exists|Mounted from)/, 'Uploaded'],
];

interface Layer {
  readonly id: string;
  status: string;
  state: LayerState;
  current: number;
  total: number;
  units: string;
  /** Of the transfer alone: extracting has figures of its own. */
  movedBytes: number;
  sizeBytes: number;
  readonly rate: Rate;
}

export class TransferProgress {
  readonly #layers = new Map<string, Layer>();
  readonly #rate = new Rate();
  #verb: TransferTotals['verb'] = null;
  #startedAt: number | null = null;
  #lastAt = 0;

  /** False: the message is of no layer, and should be shown as a line. */
  accept(message: ProgressMessage, now: number): boolean {
    const { id = '', status = '', progressDetail } = message;
    if (id === '' || (progressDetail === undefined && !this.#layers.has(id))) return false;
    const layer = this.#layer(id);
    this.#startedAt ??= now;
    this.#lastAt = now;
    this.#verb ??= VERBS.find(([pattern]) => pattern.test(status))?.[1] ?? null;
    layer.status = status;
    layer.state = STATES.find(([pattern]) => pattern.test(status))?.[1] ?? 'waiting';
    layer.current = progressDetail?.current ?? 0;
    layer.total = progressDetail?.total ?? 0;
    layer.units = progressDetail?.units ?? '';
    if (layer.state === 'moving') this.#moved(layer, now);
    else if (layer.movedBytes > 0 && layer.state !== 'waiting') layer.movedBytes = Math.max(layer.movedBytes, layer.sizeBytes);
    return true;
  }

  layers(now: number): readonly LayerProgress[] {
    return [...this.#layers.values()].map(({ id, status, state, current, total, units, rate }) => ({
      id,
      status,
      state,
      current,
      total,
      units,
      bytesPerSecond: state === 'moving' ? rate.perSecond(now) : null,
    }));
  }

  get isEmpty(): boolean {
    return this.#layers.size === 0;
  }

  get isSettled(): boolean {
    return [...this.#layers.values()].every(({ state }) => isSettled(state));
  }

  totals(now: number): TransferTotals {
    const layers = [...this.#layers.values()];
    const moving = layers.filter(({ state }) => state !== 'present');
    return {
      verb: this.#verb,
      layers: layers.length,
      present: layers.length - moving.length,
      settled: layers.filter(({ state }) => isSettled(state)).length,
      movedBytes: this.#movedBytes(),
      knownBytes: moving.reduce((sum, { sizeBytes, movedBytes }) => sum + Math.max(sizeBytes, movedBytes), 0),
      isComplete: moving.every(({ sizeBytes, state }) => sizeBytes > 0 || state === 'done' || state === 'working'),
      bytesPerSecond: layers.some(({ state }) => state === 'moving') ? this.#rate.perSecond(now) : null,
      elapsedMs: this.#startedAt === null ? 0 : (this.isSettled ? this.#lastAt : now) - this.#startedAt,
    };
  }

  #layer(id: string): Layer {
    const known = this.#layers.get(id);
    if (known !== undefined) return known;
    const layer: Layer = {
      id,
      status: '',
      state: 'waiting',
      current: 0,
      total: 0,
      units: '',
      movedBytes: 0,
      sizeBytes: 0,
      rate: new Rate(),
    };
    this.#layers.set(id, layer);
    return layer;
  }

  #moved(layer: Layer, now: number): void {
    layer.sizeBytes = Math.max(layer.sizeBytes, layer.total);
    // A transfer that starts again counts what it moves again.
    layer.movedBytes = layer.current;
    layer.rate.add(layer.current, now);
    this.#rate.add(this.#movedBytes(), now);
  }

  #movedBytes(): number {
    return [...this.#layers.values()].reduce((sum, { state, movedBytes }) => sum + (state === 'present' ? 0 : movedBytes), 0);
  }
}

function isSettled(state: LayerState): boolean {
  return state === 'done' || state === 'present';
}

const WINDOW_MS = 4000;
const SAMPLE_EVERY_MS = 200;
const LEAST_SPAN_MS = 300;

/** Bytes per second over the last seconds: the whole transfer's mean would not show a stall. */
export class Rate {
  readonly #samples: { at: number; bytes: number }[] = [];

  add(bytes: number, now: number): void {
    const last = this.#samples.at(-1);
    // Started again: what was measured is of another try.
    if (last !== undefined && bytes < last.bytes) this.#samples.length = 0;
    const before = this.#samples.at(-2);
    if (last !== undefined && before !== undefined && now - before.at < SAMPLE_EVERY_MS) Object.assign(last, { at: now, bytes });
    else this.#samples.push({ at: now, bytes });
  }

  /** Null: too early to tell. */
  perSecond(now: number): number | null {
    while (this.#samples.length > 2 && now - (this.#samples[1]?.at ?? now) > WINDOW_MS) this.#samples.shift();
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || now - first.at < LEAST_SPAN_MS) return null;
    return ((last.bytes - first.bytes) * 1000) / (now - first.at);
  }
}
