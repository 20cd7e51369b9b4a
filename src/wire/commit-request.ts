/** The body of `POST /commit`: a container's configuration, or null. */
import { ContainerConfigSchema, normaliseContainerConfig } from './container-config-request.ts';
import { decoderOf } from './decode.ts';

const decode = decoderOf(ContainerConfigSchema);

export function decodeCommit(body: unknown): ReturnType<typeof normaliseContainerConfig> | null {
  return body === null ? null : normaliseContainerConfig(decode(body));
}
