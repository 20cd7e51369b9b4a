/** Why a build failed, as a status of gRPC: the message, and for clients that show it the place in the Dockerfile (`errdefs.Source`). */
import { blamedPlaces } from '../../../build/blamed-places.ts';
import { streamGone } from '../grpc/call.ts';
import { type GrpcDetail, GrpcError, grpcCodes, grpcErrorOf } from '../grpc/status.ts';
import { SourceMessage } from '../messages/control.ts';
import { rangeOf, type StatusLog, sourceInfo } from './status-log.ts';

export function buildFailure(thrown: unknown, log: StatusLog, signal: AbortSignal): GrpcError {
  if (signal.aborted) return signal.reason instanceof GrpcError ? signal.reason : streamGone();
  if (thrown instanceof GrpcError) return thrown;
  const { code, message } = grpcErrorOf(thrown);
  // Clients take some codes for troubles of the connection.
  const known = code === grpcCodes.unimplemented || code === grpcCodes.permissionDenied || code === grpcCodes.notFound;
  return new GrpcError(known ? code : grpcCodes.unknown, message, sourceDetails(thrown, log));
}

function sourceDetails(thrown: unknown, log: StatusLog): readonly GrpcDetail[] {
  const { file } = log;
  const blamed = blamedPlaces(thrown);
  const places = blamed.length > 0 || log.failedAt === null ? blamed : [log.failedAt];
  if (file === null || places.length === 0) return [];
  const source = { info: sourceInfo(file), ranges: places.map(rangeOf) };
  return [{ typeUrl: 'errdefs.Source', value: SourceMessage.encode(source) }];
}
