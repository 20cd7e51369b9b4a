/** A container as its log driver sees it. */
import { hostname } from 'node:os';
import type { ContainerRecord } from '../container-record.ts';
import type { LogSubject } from './log-driver.ts';

export function logSubject({ id, name, imageId, imageReference, path, args, createdAt, config }: ContainerRecord): LogSubject {
  return {
    id,
    name,
    imageId,
    imageName: imageReference,
    command: [path, ...args].join(' '),
    createdAt: new Date(createdAt),
    labels: config.Labels,
    env: config.Env,
    hostname: hostname(),
  };
}
