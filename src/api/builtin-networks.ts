/** `none` and `host`: the two networks that exist without a network driver. Their ids never change for one daemon. */
import { createHash } from 'node:crypto';

export interface BuiltinNetwork {
  readonly name: 'none' | 'host';
  readonly id: string;
  readonly driver: 'null' | 'host';
  readonly createdAt: Date;
}

export function builtinNetworks(daemonId: string, createdAt: Date): readonly BuiltinNetwork[] {
  const id = (name: string) => createHash('sha256').update(`${daemonId} network ${name}`).digest('hex');
  return [
    { name: 'none', id: id('none'), driver: 'null', createdAt },
    { name: 'host', id: id('host'), driver: 'host', createdAt },
  ];
}
