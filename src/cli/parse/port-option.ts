/** `--publish` and `--expose`. */
import { csvFields } from '../../base/csv-fields.ts';

export interface PortPlan {
  readonly exposed: Record<string, Record<string, never>>;
  readonly bindings: Record<string, { HostIp: string; HostPort: string }[]>;
}

interface Range {
  readonly from: number;
  readonly to: number;
}

export function planPorts(published: readonly string[], exposed: readonly string[]): PortPlan {
  const plan: PortPlan = { exposed: Object.create(null), bindings: Object.create(null) };
  for (const text of published) publish(plan, text.includes('=') ? longForm(text) : text);
  for (const text of exposed) expose(plan, text);
  return plan;
}

/** `[ip:][host[-host]:]container[-container][/protocol]`; an IPv6 address stands in brackets. */
function publish(plan: PortPlan, text: string): void {
  const { ip, host, container, protocol } = splitSpec(text);
  const inside = range(container, `invalid containerPort: ${container}`);
  const outside = host === '' ? null : range(host, `invalid hostPort: ${host}`);
  const count = inside.to - inside.from;
  if (outside !== null && count !== outside.to - outside.from && count !== 0)
    throw new Error(`invalid ranges specified for container and host Ports: ${container} and ${host}`);
  for (let offset = 0; offset <= count; offset += 1) {
    const key = `${inside.from + offset}/${protocol}`;
    plan.exposed[key] = {};
    const hostPort = outside === null ? '' : count === 0 && outside.to !== outside.from ? host : String(outside.from + offset);
    plan.bindings[key] = [...(plan.bindings[key] ?? []), { HostIp: ip, HostPort: hostPort }];
  }
}

function splitSpec(text: string): { readonly ip: string; readonly host: string; readonly container: string; readonly protocol: string } {
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(?:([^:]*):)?([^:/]*)(?:\/([^/]*))?$/.exec(text);
  if (match === null) throw new Error(unreadable(text));
  const [, bracketed, plain, second, container = '', protocol = 'tcp'] = match;
  if (container === '') throw new Error(`no port specified: ${text}<empty>`);
  if (!['tcp', 'udp', 'sctp'].includes(protocol.toLowerCase())) throw new Error(`invalid proto: ${protocol}`);
  const twoParts = second === undefined && bracketed === undefined;
  const ip = twoParts ? '' : (bracketed ?? plain ?? '');
  const host = twoParts ? (plain ?? '') : (second ?? '');
  if (ip !== '' && !isAddress(ip)) throw new Error(`invalid IP address: ${ip}`);
  return { ip, host, container, protocol: protocol.toLowerCase() };
}

/** Too many colons: what stands before the last two parts was meant as an address. */
function unreadable(text: string): string {
  const parts = text.split(':');
  return parts.length > 3
    ? `invalid IP address: ${parts.slice(0, -2).join(':')}`
    : `invalid publish opts format (should be name=value but got '${text}')`;
}

function isAddress(text: string): boolean {
  if (text.includes(':')) return /^[\da-fA-F:.]+$/.test(text);
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
}

function range(text: string, complaint: string): Range {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (match === null || from > 65535 || to > 65535 || to < from) throw new Error(complaint);
  return { from, to };
}

/** `target=80,published=8080,protocol=udp,mode=ingress` */
function longForm(text: string): string {
  const parts: Record<string, string> = { protocol: 'tcp' };
  for (const field of csvFields(text)) {
    const [key = '', value = ''] = field.split('=');
    if (!['target', 'published', 'protocol', 'mode'].includes(key)) throw new Error(`invalid field key: ${key}`);
    parts[key] = value;
  }
  if (parts.target === undefined) throw new Error(`missing mandatory field 'target': ${text}`);
  return `${parts.published === undefined ? '' : `${parts.published}:`}${parts.target}/${parts.protocol}`;
}

function expose(plan: PortPlan, text: string): void {
  if (text.includes(':')) throw new Error(`invalid port format for --expose: ${text}`);
  const [ports = '', protocol = 'tcp'] = text.split('/');
  const { from, to } = range(ports, `invalid range format for --expose: ${text}, error: ${whyNoRange(ports)}`);
  for (let port = from; port <= to; port += 1) plan.exposed[`${port}/${protocol.toLowerCase()}`] ??= {};
}

/** In the words of Docker's parser. */
function whyNoRange(text: string): string {
  if (text === '') return 'empty string specified for ports';
  for (const part of text.split('-', 2)) {
    if (!/^\d+$/.test(part)) return `strconv.ParseUint: parsing ${JSON.stringify(part)}: invalid syntax`;
    if (Number(part) > 65_535) return `strconv.ParseUint: parsing ${JSON.stringify(part)}: value out of range`;
  }
  return `invalid range specified for port: ${text}`;
}
