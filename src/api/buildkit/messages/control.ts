/**
 * `moby.buildkit.v1.Control` and what it shares with the gateway: field numbers of the published definitions (CLIENTS.md 7.4), and of each message what is read or said here.
 * Names are ours.
 */
import {
  bool,
  bytes,
  int32,
  int64,
  list,
  type MessageOf,
  map,
  message,
  nested,
  optional,
  partialList,
  repeated,
  text,
} from '../protobuf/message.ts';

export const Empty = message({});

export const TimestampMessage = message({ seconds: int64(1), nanoseconds: int32(2) });

/** LLB, which is not looked into but for whether there is any (see result-definition.ts). */
export const DefinitionMessage = message({ operations: repeated(bytes(1)) });

export const CacheEntry = message({ type: text(1), attributes: map(2, text) });
export const ExporterEntry = message({ type: text(1), attributes: map(2, text) });

const CacheOptions = message({ exports: list(4, CacheEntry), imports: list(5, CacheEntry), oldImports: repeated(text(2)) });

const InputDefinition = (number: number) => nested(number, DefinitionMessage);

export const ControlSolveRequest = message({
  ref: text(1),
  definition: optional(2, DefinitionMessage),
  exporter: text(3),
  exporterAttributes: map(4, text),
  session: text(5),
  frontend: text(6),
  frontendAttributes: map(7, text),
  cache: optional(8, CacheOptions),
  entitlements: repeated(text(9)),
  frontendInputs: map(10, InputDefinition),
  internal: bool(11),
  sourcePolicy: bytes(12),
  exporters: list(13, ExporterEntry),
});
export type ControlSolve = MessageOf<typeof ControlSolveRequest>;

export const ControlSolveResponse = message({ exporterResponse: map(1, text) });

export const StatusRequest = message({ ref: text(1) });

const SourceInfo = message({ fileName: text(1), data: bytes(2), language: text(4) });
const Position = message({ line: int32(1), character: int32(2) });
export const RangeMessage = message({ start: nested(1, Position), end: nested(2, Position) });
export const SourceMessage = message({ info: nested(1, SourceInfo), ranges: partialList(2, RangeMessage) });

export const VertexMessage = message({
  digest: text(1),
  inputs: repeated(text(2)),
  name: text(3),
  cached: bool(4),
  startedAt: nested(5, TimestampMessage),
  completedAt: nested(6, TimestampMessage),
  error: text(7),
});

export const VertexStatusMessage = message({
  id: text(1),
  vertex: text(2),
  name: text(3),
  current: int64(4),
  total: int64(5),
  timestamp: nested(6, TimestampMessage),
  startedAt: nested(7, TimestampMessage),
  completedAt: nested(8, TimestampMessage),
});

export const VertexLogMessage = message({ vertex: text(1), timestamp: nested(2, TimestampMessage), stream: int64(3), bytes: bytes(4) });

export const VertexWarningMessage = message({
  vertex: text(1),
  level: int64(2),
  short: bytes(3),
  detail: repeated(bytes(4)),
  url: text(5),
  info: nested(6, SourceInfo),
  ranges: partialList(7, RangeMessage),
});

export const StatusResponse = message({
  vertexes: partialList(1, VertexMessage),
  statuses: partialList(2, VertexStatusMessage),
  logs: partialList(3, VertexLogMessage),
  warnings: partialList(4, VertexWarningMessage),
});
export type StatusMessage = MessageOf<typeof StatusResponse>;

const PlatformMessage = message({ architecture: text(1), os: text(2), variant: text(3) });
const BuildkitVersion = message({ package: text(1), version: text(2), revision: text(3) });

const CdiDevice = message({ name: text(1), autoAllow: bool(2), annotations: map(3, text) });

export const WorkerRecord = message({
  id: text(1),
  labels: map(2, text),
  platforms: partialList(3, PlatformMessage),
  version: nested(5, BuildkitVersion),
  cdiDevices: partialList(6, CdiDevice),
});

export const ListWorkersRequest = message({ filter: repeated(text(1)) });
export const ListWorkersResponse = message({ records: partialList(1, WorkerRecord) });
export const InfoResponse = message({ version: nested(1, BuildkitVersion) });

export const UsageRecord = message({
  id: text(1),
  mutable: bool(2),
  inUse: bool(3),
  sizeBytes: int64(4),
  createdAt: nested(6, TimestampMessage),
  lastUsedAt: nested(7, TimestampMessage),
  usageCount: int64(8),
  description: text(9),
  recordType: text(10),
  shared: bool(11),
  parents: repeated(text(12)),
});

export const DiskUsageRequest = message({ filter: repeated(text(1)) });
export const DiskUsageResponse = message({ records: partialList(1, UsageRecord) });
export const PruneRequest = message({
  filter: repeated(text(1)),
  all: bool(2),
  /** Nanoseconds. */
  keepDuration: int64(3),
  reservedSpace: int64(4),
  maxUsedSpace: int64(5),
  minFreeSpace: int64(6),
});

export function timestampOf(time: Date): { readonly seconds: number; readonly nanoseconds: number } {
  const milliseconds = time.getTime();
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanoseconds: (milliseconds - seconds * 1000) * 1_000_000 };
}
