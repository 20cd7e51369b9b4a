/**
 * A question on its way through the servers of a list.
 *
 *     ask the first ──interval──▶ ask the next (or the same again) ──…──▶ deadline: given up
 *         │ an answer of any of them                    │ SERVFAIL, REFUSED, nobody there: the next at once
 *         ▼                                             ▼ nobody left to wait for
 *       done                                          the last failure said, or none
 *
 * An earlier server is not forgotten when the next is asked: the first good answer counts, so that a slow server costs nothing but a packet.
 */
import { answerCode, type Query, rcode } from './dns-message.ts';
import type { AskSettings } from './resolv-conf.ts';
import type { Upstream } from './upstream.ts';

export interface Forwarding {
  cancel(): void;
}

export interface ForwardRequest {
  readonly upstreams: readonly Upstream[];
  readonly settings: AskSettings;
  readonly protocol: 'udp' | 'tcp';
  readonly packet: Buffer;
  readonly query: Query;
  /** Once; null: nobody said anything. The answer has an id of ours. */
  readonly done: (answer: Buffer | null) => void;
}

/** Without a `timeout:` a failure is told before the C library asks again (5 s). */
const patienceMs = 4_500;
const longestIntervalMs = 1_500;
/** When none answered lately, all are asked at once, and the client is told sooner. */
const lastHopeMs = 2_000;
const tcpTimeoutMs = 4_000;
/** A server that had less time has not missed a question. */
const fairMs = 400;

interface Plan {
  readonly tries: readonly Upstream[];
  /** Dead ones that get the question beside the others, to see whether they live. */
  readonly probes: readonly Upstream[];
  /** 0: all at once. */
  readonly intervalMs: number;
  readonly deadlineMs: number;
}

let rotation = 0;

function planUdp(upstreams: readonly Upstream[], settings: AskSettings): Plan {
  const alive = rotated(upstreams, settings).filter(({ dead }) => !dead);
  if (alive.length === 0)
    return { tries: upstreams, probes: [], intervalMs: 0, deadlineMs: Math.min(lastHopeMs, settings.timeoutMs ?? lastHopeMs) };
  const now = Date.now();
  const probes = upstreams.filter((upstream) => upstream.takeProbe(now));
  const tries = Array.from({ length: settings.attempts }, () => alive).flat();
  const intervalMs = settings.timeoutMs ?? Math.min(longestIntervalMs, patienceMs / tries.length);
  return { tries, probes, intervalMs, deadlineMs: settings.timeoutMs === null ? patienceMs : settings.timeoutMs * tries.length };
}

/** A connection tells by itself that it fails, and its packets are sent again by the kernel: one after the other. */
function planTcp(upstreams: readonly Upstream[], settings: AskSettings): Plan {
  const order = rotated(upstreams, settings);
  const tries = [...order.filter(({ dead }) => !dead), ...order.filter(({ dead }) => dead)];
  const intervalMs = settings.timeoutMs ?? tcpTimeoutMs;
  return { tries, probes: [], intervalMs, deadlineMs: intervalMs * tries.length };
}

function rotated(upstreams: readonly Upstream[], { rotate }: AskSettings): readonly Upstream[] {
  if (!rotate) return upstreams;
  rotation = (rotation + 1) % 0x10000;
  const first = rotation % Math.max(1, upstreams.length);
  return [...upstreams.slice(first), ...upstreams.slice(0, first)];
}

export function forwardQuestion(request: ForwardRequest): Forwarding {
  const plan = (request.protocol === 'udp' ? planUdp : planTcp)(request.upstreams, request.settings);
  const forwarding = new RunningForward(request, plan);
  forwarding.start();
  return forwarding;
}

interface Asked {
  readonly upstream: Upstream;
  readonly at: number;
  answered: boolean;
  readonly stop: () => void;
}

class RunningForward implements Forwarding {
  readonly #request: ForwardRequest;
  readonly #plan: Plan;
  readonly #asked: Asked[] = [];
  #next = 0;
  #failure: Buffer | null = null;
  #interval: NodeJS.Timeout | null = null;
  #deadline: NodeJS.Timeout | null = null;
  #over = false;

  constructor(request: ForwardRequest, plan: Plan) {
    this.#request = request;
    this.#plan = plan;
  }

  start(): void {
    const { probes, intervalMs, deadlineMs, tries } = this.#plan;
    this.#deadline = setTimeout(() => this.#finish(this.#failure), deadlineMs);
    for (const upstream of probes) this.#ask(upstream);
    if (intervalMs > 0) this.#askNext();
    else for (const _ of tries) this.#askNext();
    if (this.#asked.length === 0) setImmediate(() => this.#finish(null));
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#release();
  }

  #askNext(): void {
    clearTimeout(this.#interval ?? undefined);
    const upstream = this.#plan.tries[this.#next];
    if (upstream === undefined) return;
    this.#next += 1;
    this.#ask(upstream);
    const { intervalMs, tries } = this.#plan;
    if (intervalMs > 0 && this.#next < tries.length) this.#interval = setTimeout(() => this.#askNext(), intervalMs);
  }

  #ask(upstream: Upstream): void {
    const { packet, query, protocol } = this.#request;
    const listener = {
      heard: (answer: Buffer) => this.#heard(asked, answer),
      failed: () => this.#failed(asked),
    };
    const stop = protocol === 'udp' ? upstream.askUdp(packet, query, listener) : upstream.askTcp(packet, query, listener);
    const asked: Asked = { upstream, at: Date.now(), answered: false, stop };
    this.#asked.push(asked);
  }

  #heard(asked: Asked, answer: Buffer): void {
    const code = answerCode(answer);
    if (code !== rcode.serverFailure && code !== rcode.refused) {
      asked.answered = true;
      this.#finish(answer);
      return;
    }
    this.#failure = answer;
    this.#failed(asked);
  }

  #failed(asked: Asked): void {
    if (this.#over) return;
    asked.answered = true;
    // The same server would fail again at once: its later tries are of no use.
    while (this.#plan.tries[this.#next] !== undefined && this.#gaveUp(this.#plan.tries[this.#next])) this.#next += 1;
    if (this.#next < this.#plan.tries.length) this.#askNext();
    else if (this.#asked.every(({ answered }) => answered)) this.#finish(this.#failure);
  }

  #gaveUp(upstream: Upstream | undefined): boolean {
    return this.#asked.some((asked) => asked.upstream === upstream && asked.answered);
  }

  #finish(answer: Buffer | null): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#request.protocol === 'udp') this.#countMisses();
    this.#release();
    this.#request.done(answer);
  }

  #countMisses(): void {
    const now = Date.now();
    const silent = this.#asked.filter(({ upstream, answered, at }) => !answered && now - at >= fairMs && !this.#gaveUp(upstream));
    for (const upstream of new Set(silent.map((asked) => asked.upstream))) upstream.missed();
  }

  #release(): void {
    clearTimeout(this.#interval ?? undefined);
    clearTimeout(this.#deadline ?? undefined);
    for (const { stop } of this.#asked) stop();
  }
}
