/** Branded strings for what gets confused. A brand is put on once, where the value was checked. */
declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** `sha256:` + 64 lower-case hex digits, of bytes as stored or sent. */
export type Digest = Brand<string, 'Digest'>;
/** Digest of a layer's uncompressed tar. */
export type DiffId = Brand<string, 'DiffId'>;
/** Digest over a chain of layers (OCI image spec, config.md, "Layer ChainID"). */
export type ChainId = Brand<string, 'ChainId'>;
/** Digest of an image's config: Docker's image ID. */
export type ImageId = Brand<string, 'ImageId'>;
/** 64 lower-case hex digits. */
export type ContainerId = Brand<string, 'ContainerId'>;
/** 64 lower-case hex digits. */
export type ExecId = Brand<string, 'ExecId'>;
