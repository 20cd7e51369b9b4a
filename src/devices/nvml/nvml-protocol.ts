/**
 * What passes between the daemon and the process that calls NVML (Node's channel, JSON).
 *
 *   daemon ──▶ {id, ask: 'inventory' | 'usage'}          ◀── {id, ok: true, value} | {id, ok: false, error, stage}
 *          ──▶ {ask: 'end'}                              nvmlShutdown, and the process ends
 */
import type { GpuUsage, NvmlGpu } from './gpu-readings.ts';

export interface NvmlAnswers {
  readonly inventory: readonly NvmlGpu[];
  readonly usage: readonly GpuUsage[];
}

export type NvmlAsk = keyof NvmlAnswers;

export type NvmlQuestion = { readonly id: number; readonly ask: NvmlAsk } | { readonly ask: 'end' };

export type NvmlReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  /** `library`: it cannot be loaded, and that stays so until it is another file. */
  | { readonly id: number; readonly ok: false; readonly error: string; readonly stage: 'library' | 'call' };
