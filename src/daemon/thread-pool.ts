/**
 * libuv's pool threads inherit the namespaces of the thread that first gives them work (reproduced; DESIGN.md section 2). So all of them are
 * started at boot, from the main thread, before anything could be elsewhere.
 */
import { stat } from 'node:fs/promises';

export async function warmThreadPool(environment: NodeJS.ProcessEnv): Promise<void> {
  const size = Number(environment.UV_THREADPOOL_SIZE ?? 4) || 4;
  // libuv starts all threads of the pool at the first request; as many at once make every one of them run.
  await Promise.all(Array.from({ length: size }, () => stat('/')));
}
