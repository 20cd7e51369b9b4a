/**
 * Results that clients hand back to the daemon as inputs of another build (bake's `target:NAME`). BuildKit gives its clients the graph of a result; here a graph of one operation stands for it,
 * whose identifier is the result's name.
 *
 *     Definition{ 1: [ Op{ 3: SourceOp{ 1: "gantry-result://<ref>/<id>" } }, Op{ 1: Input{ 1: digest of the one before } } ] }
 */
import { digestOf } from '../../../oci/digest.ts';
import type { DefinitionMessage } from '../messages/control.ts';
import { list, type MessageOf, message, nested, optional, text } from '../protobuf/message.ts';

const InputMessage = message({ digest: text(1) });
const SourceOperation = message({ identifier: text(1) });
const OperationMessage = message({ inputs: list(1, InputMessage), source: optional(3, SourceOperation) });
/** To be written. */
const WrittenOperation = message({ inputs: list(1, InputMessage), source: nested(3, SourceOperation) });

type Definition = MessageOf<typeof DefinitionMessage>;

const scheme = 'gantry-result://';

export interface ResultName {
  readonly ref: string;
  readonly id: string;
}

export function hasDefinition(definition: Partial<Definition> | null): boolean {
  return (definition?.operations?.length ?? 0) > 0;
}

export function definitionOf({ ref, id }: ResultName): Definition {
  const source = WrittenOperation.encode({ source: { identifier: `${scheme}${ref}/${id}` } });
  return { operations: [source, WrittenOperation.encode({ inputs: [{ digest: digestOf(source) }] })] };
}

/** Null: it is a graph of somebody else. */
export function resultOf(definition: Partial<Definition> | null): ResultName | null {
  for (const bytes of definition?.operations ?? []) {
    const identifier = OperationMessage.decode(bytes).source?.identifier ?? '';
    const [, ref, id] = identifier.startsWith(scheme) ? (/^([^/]+)\/([^/]+)$/.exec(identifier.slice(scheme.length)) ?? []) : [];
    if (ref !== undefined && id !== undefined) return { ref, id };
  }
  return null;
}
