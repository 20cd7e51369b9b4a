/** `0.0.0.0:8080-8081->80-81/tcp, 443/tcp`: neighbours in one range, as Docker writes them. */
import type { PortSummary } from '../../client/types.ts';

interface Run {
  readonly ip: string;
  readonly type: string;
  readonly privateFrom: number;
  privateTo: number;
  readonly publicFrom: number;
  publicTo: number;
}

export function portText(ports: readonly PortSummary[]): string {
  const runs: Run[] = [];
  const single: string[] = [];
  for (const port of [...ports].sort(comparePorts)) {
    const ip = port.IP ?? '';
    const outside = port.PublicPort ?? 0;
    if (outside !== 0 && outside !== port.PrivatePort) {
      single.push(`${joinHost(ip, outside)}->${port.PrivatePort}/${port.Type}`);
      continue;
    }
    const last = runs.find(
      (run) =>
        run.ip === ip && run.type === port.Type && (run.publicFrom === 0) === (outside === 0) && run.privateTo + 1 === port.PrivatePort,
    );
    if (last === undefined)
      runs.push({
        ip,
        type: port.Type,
        privateFrom: port.PrivatePort,
        privateTo: port.PrivatePort,
        publicFrom: outside,
        publicTo: outside,
      });
    else {
      last.privateTo = port.PrivatePort;
      last.publicTo = outside;
    }
  }
  return [...runs.map(runText), ...single].join(', ');
}

function runText(run: Run): string {
  const range = (from: number, to: number): string => (from === to ? String(from) : `${from}-${to}`);
  const inside = `${range(run.privateFrom, run.privateTo)}/${run.type}`;
  return run.publicFrom === 0 ? inside : `${joinHost(run.ip, range(run.publicFrom, run.publicTo))}->${inside}`;
}

function joinHost(ip: string, port: number | string): string {
  return ip.includes(':') ? `[${ip}]:${port}` : ip === '' ? String(port) : `${ip}:${port}`;
}

function comparePorts(a: PortSummary, b: PortSummary): number {
  if (a.PrivatePort !== b.PrivatePort) return a.PrivatePort - b.PrivatePort;
  if ((a.IP ?? '') !== (b.IP ?? '')) return (a.IP ?? '') < (b.IP ?? '') ? -1 : 1;
  if ((a.PublicPort ?? 0) !== (b.PublicPort ?? 0)) return (a.PublicPort ?? 0) - (b.PublicPort ?? 0);
  return a.Type < b.Type ? -1 : 1;
}
