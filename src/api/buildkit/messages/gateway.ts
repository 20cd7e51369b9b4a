/** `moby.buildkit.v1.frontend.LLBBridge`: what a client that steers the build itself sends (buildx does). */
import {
  bool,
  bytes,
  int32,
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
import { CacheEntry, DefinitionMessage, WorkerRecord } from './control.ts';

const Capability = message({ id: text(1), enabled: bool(2) });

export const PongResponse = message({
  frontendCapabilities: partialList(1, Capability),
  buildCapabilities: partialList(2, Capability),
  workers: partialList(3, WorkerRecord),
});

const ReferenceMessage = message({ id: text(1), definition: optional(2, DefinitionMessage) });
const ReferenceOf = (number: number) => nested(number, ReferenceMessage);
const ReferenceMap = message({ references: map(1, ReferenceOf) });

export const ResultMessage = message({
  reference: optional(3, ReferenceMessage),
  references: optional(4, ReferenceMap),
  metadata: map(10, bytes),
});
export type ResultValue = MessageOf<typeof ResultMessage>;

export const BridgeSolveRequest = message({
  definition: optional(1, DefinitionMessage),
  frontend: text(2),
  frontendOptions: map(3, text),
  oldCacheImports: repeated(text(4)),
  allowResultReturn: bool(5),
  final: bool(10),
  exporterAttributes: bytes(11),
  cacheImports: list(12, CacheEntry),
  frontendInputs: map(13, (number) => nested(number, DefinitionMessage)),
  evaluate: bool(14),
});
export type BridgeSolve = MessageOf<typeof BridgeSolveRequest>;

export const BridgeSolveResponse = message({ oldReference: text(1), result: nested(3, ResultMessage) });

const AnyMessage = message({ typeUrl: text(1), value: bytes(2) });
export const RpcStatus = message({ code: int32(1), message: text(2), details: list(3, AnyMessage) });

export const ReturnRequest = message({ result: optional(1, ResultMessage), error: optional(2, RpcStatus) });
export const EvaluateRequest = message({ reference: text(1) });
