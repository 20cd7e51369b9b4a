/** The process that registry-crash.test.ts kills: a registry in the folder it is given, which collects garbage when it is told to (SIGUSR2). */
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { openAccess } from '../../src/registry/access.ts';
import { createRegistry } from '../../src/registry/create-registry.ts';
import { createRegistryServer } from '../../src/registry/http/registry-server.ts';
import { registryMigrations } from '../../src/registry/registry-migrations.ts';
import { createBlobStore } from '../../src/store/blobs.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createLeases } from '../../src/store/leases.ts';

const folder = process.argv[2] ?? '';
const leases = createLeases();
const blobs = await createBlobStore({ root: join(folder, 'blobs') });
const database = await openDatabase(join(folder, 'registry.db'), { migrations: registryMigrations });
const registry = await createRegistry({ database, blobs, leases, root: folder, graceMs: 0 });
const server = createRegistryServer({ registry, access: openAccess });
process.on('SIGUSR2', () => void registry.collectGarbage());
server.listen(0, '127.0.0.1', () => process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`));
