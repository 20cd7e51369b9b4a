/** Devices that containers can be given (beyond Docker). */
import { type ApiClient, pathName } from './api-client.ts';

/** `GET /devices` */
export interface DevicesAnswer {
  readonly Devices: readonly DeviceSummary[];
  /** Descriptions that cannot be used, and what discovery found wrong. */
  readonly Problems: readonly { readonly Source: string; readonly Text: string }[];
}

export interface DeviceSummary {
  /** `vendor.com/class=name` */
  readonly Name: string;
  /** A file, or `discovered`. */
  readonly Source: string;
  /** `nvidia`, `amd`, `intel`; '': another one. */
  readonly Maker: string;
  /** What is not known is empty, or 0. */
  readonly Model: string;
  readonly UUID: string;
  /** Bytes. */
  readonly Memory: number;
  readonly HeldBy: readonly { readonly Id: string; readonly Title: string; readonly Exclusive: boolean }[];
  /** Why it cannot be given to anybody now; '': it can. */
  readonly Problem: string;
}

export class DeviceApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  list(): Promise<DevicesAnswer> {
    return this.#client.json('GET', '/devices');
  }

  /** By its qualified name, with its description. */
  inspectRaw(name: string): Promise<string> {
    return this.#client.text('GET', `/devices/${pathName(name)}`);
  }

  /** The description (CDI) that discovery makes; '': of the first maker that has GPUs there. */
  descriptionRaw(maker: string): Promise<string> {
    return this.#client.text('GET', '/devices/description', { query: { maker } });
  }
}
