/** Waiting for what may never come: an answer of a process that can be stopped or hang. */

/** `late` when the time is up first. What comes after that is nobody's unhandled error. */
export async function withPatience<T>(answer: Promise<T>, patienceMs: number): Promise<T | 'late'> {
  const late = Promise.withResolvers<'late'>();
  // Longer delays than this overflow Node's timers and would fire at once.
  const timer = setTimeout(() => late.resolve('late'), Math.min(patienceMs, 2 ** 31 - 1));
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
    answer.catch(() => {});
  }
}
