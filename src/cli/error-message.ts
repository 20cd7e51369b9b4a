import { ApiError } from '../client/api-client.ts';

/** Docker marks what the daemon said. */
export function errorMessage(error: unknown): string {
  if (error instanceof ApiError) return `Error response from daemon: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
