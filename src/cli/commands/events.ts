import type { EventMessage } from '../../client/types.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { zoneOffset } from '../format/duration-text.ts';
import { executeOrExplain, parseOrExplain } from '../format/row-format.ts';
import { collectFilters } from '../parse/filter-option.ts';
import { parseMoment } from '../parse/moment.ts';
import { executeTemplate } from '../template/evaluate.ts';
import { templateFunctions } from '../template/functions.ts';
import { GoMap, Struct } from '../template/go-value.ts';

export const events: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -f, --filter filter   Filter output based on conditions provided
      --format string   Format output: json, or a Go template for each event
      --since string    Show all events created since timestamp
      --until string    Stream events until this timestamp
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    const show = formatter(flags.string('format'));
    const stream = await client.system.events({
      since: parseMoment(flags.string('since')),
      until: parseMoment(flags.string('until')),
      filters: collectFilters(flags),
    });
    for await (const event of stream) context.print(show(event));
    return 0;
  },
};

function formatter(format: string): (event: EventMessage) => string {
  if (format === '') return eventLine;
  const template = parseOrExplain(format === 'json' ? '{{json .}}' : format);
  return (event) => `${executeOrExplain(() => executeTemplate(template, eventValue(event), templateFunctions))}\n`;
}

function eventLine(event: EventMessage): string {
  const attributes = Object.entries(event.Actor?.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);
  const time = event.timeNano !== undefined && event.timeNano !== 0n ? event.timeNano : BigInt(event.time ?? 0) * 1_000_000_000n;
  return `${nanoTime(time)} ${event.Type} ${event.Action} ${event.Actor?.ID ?? ''}${attributes.length > 0 ? ` (${attributes.join(', ')})` : ''}\n`;
}

/** RFC 3339 with all nine digits, in the local zone. */
export function nanoTime(nanoseconds: bigint): string {
  const milliseconds = Number(nanoseconds / 1_000_000n);
  const offset = -new Date(milliseconds).getTimezoneOffset();
  const local = new Date(milliseconds + offset * 60_000).toISOString().slice(0, 19);
  const fraction = String(nanoseconds % 1_000_000_000n).padStart(9, '0');
  return `${local}.${fraction}${offset === 0 ? 'Z' : zoneOffset(offset, ':')}`;
}

function eventValue(event: EventMessage): Struct {
  const attributes = new GoMap(new Map(Object.entries(event.Actor?.Attributes ?? {})), '');
  const { Type, Action } = event;
  const actor = new Struct('events.Actor', { ID: event.Actor?.ID ?? '', Attributes: attributes });
  const { status, id, from } = event;
  // As the daemon sends them: of containers and images only, and never empty.
  const legacy = Object.fromEntries(Object.entries({ status, id, from }).filter(([, value]) => (value ?? '') !== ''));
  const fields = { ...legacy, Type, Action, Actor: actor, scope: event.scope ?? '', time: event.time ?? 0, timeNano: event.timeNano ?? 0 };
  // Docker's older names; still what many scripts ask for.
  const older = {
    Status: status ?? '',
    ID: id ?? '',
    From: from ?? '',
    Scope: event.scope ?? '',
    Time: event.time ?? 0,
    TimeNano: event.timeNano ?? 0,
  };
  return new Struct('*events.Message', fields, { unlisted: older });
}
