/** sd_notify: tells systemd (or what else set NOTIFY_SOCKET) how the daemon is. */
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { sendUnixDatagram } from '../linux/unix-datagram.ts';

export function serviceNotifier(environment: NodeJS.ProcessEnv, logger: Logger): (state: 'READY=1' | 'STOPPING=1') => void {
  const address = environment.NOTIFY_SOCKET;
  if (address === undefined || address === '') return () => undefined;
  return (state) => {
    try {
      sendUnixDatagram(address, state);
    } catch (error) {
      logger.warn({ state, error: errorText(error) }, 'could not tell the service manager');
    }
  };
}
