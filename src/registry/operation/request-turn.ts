/** What is known of a request while it is served, for whoever hears of its parts apart: access (who), events (what was done), the audit log (both, and the answer). */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AccessScope } from '../access.ts';
import type { RegistryEvent } from '../registry.ts';

export interface RequestTurn {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly address: string;
  user: string | null;
  /** What it was about, by the first question of access. */
  scope: AccessScope | null;
  readonly events: RegistryEvent[];
}

const turns = new AsyncLocalStorage<RequestTurn>();

export function inTurn(turn: RequestTurn, serve: () => void): void {
  turns.run(turn, serve);
}

/** Null: nobody's request. */
export function currentTurn(): RequestTurn | null {
  return turns.getStore() ?? null;
}
