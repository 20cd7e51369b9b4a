/**
 * The typed client of a Gantry (or Docker) daemon.
 *
 *     const client = new GantryClient({ address: 'unix:///run/gantry/gantry.sock' });
 *     const { Id } = await client.containers.create({ Image: 'busybox', Cmd: ['true'] }, {});
 *     const wait = await client.containers.wait(Id, 'next-exit');
 *     await client.containers.start(Id);
 *     const { StatusCode } = await wait.exit;
 *     client.close();
 */
import { ApiClient, type ClientOptions } from './api-client.ts';
import { BuilderApi } from './builder-api.ts';
import { ContainerApi } from './container-api.ts';
import { DeviceApi } from './device-api.ts';
import { ExecApi } from './exec-api.ts';
import { ImageApi } from './image-api.ts';
import { LeaseApi } from './lease-api.ts';
import { ManifestApi } from './manifest-api.ts';
import { NetworkApi } from './network-api.ts';
import { SystemApi } from './system-api.ts';
import { VolumeApi } from './volume-api.ts';

export class GantryClient {
  readonly api: ApiClient;
  readonly builder: BuilderApi;
  readonly containers: ContainerApi;
  readonly devices: DeviceApi;
  readonly execs: ExecApi;
  readonly images: ImageApi;
  readonly leases: LeaseApi;
  readonly manifests: ManifestApi;
  readonly networks: NetworkApi;
  readonly volumes: VolumeApi;
  readonly system: SystemApi;

  constructor(options: ClientOptions = {}) {
    this.api = new ApiClient(options);
    this.builder = new BuilderApi(this.api);
    this.containers = new ContainerApi(this.api);
    this.devices = new DeviceApi(this.api);
    this.execs = new ExecApi(this.api);
    this.images = new ImageApi(this.api);
    this.leases = new LeaseApi(this.api);
    this.manifests = new ManifestApi(this.api);
    this.networks = new NetworkApi(this.api);
    this.volumes = new VolumeApi(this.api);
    this.system = new SystemApi(this.api);
  }

  close(): void {
    this.api.close();
  }
}
