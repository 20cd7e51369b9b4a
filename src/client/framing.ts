/** Daemons below API 1.42 name both kinds of streams alike; then the container's own terminal setting decides. */
export function isFramed(contentType: string, tty: boolean): boolean {
  return contentType.startsWith('application/vnd.docker.multiplexed-stream') || !tty;
}
