/** Durations as Go prints them, which is what Docker's texts hold: `1m30s`, `1.5s`, `300ms`. */
export function goDuration(milliseconds: number): string {
  if (milliseconds < 1000)
    return milliseconds >= 1 || milliseconds === 0 ? smallDuration(milliseconds) : `${trimmed(milliseconds * 1000)}µs`;
  const hours = Math.floor(milliseconds / 3_600_000);
  const minutes = Math.floor(milliseconds / 60_000) % 60;
  const seconds = `${trimmed((milliseconds % 60_000) / 1000)}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

function smallDuration(milliseconds: number): string {
  return milliseconds === 0 ? '0s' : `${trimmed(milliseconds)}ms`;
}

/** Nanoseconds at the finest, without zeros at the end. */
function trimmed(value: number): string {
  return String(Number(value.toFixed(9)));
}
