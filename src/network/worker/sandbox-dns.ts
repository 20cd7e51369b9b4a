/**
 * The embedded DNS of one container: two sockets on random ports inside its namespace, and the redirect of 127.0.0.11:53 to them there. A listener on
 * 127.0.0.11:53 itself would forbid a program of the container to listen on port 53.
 */
import { EngineError } from '../../base/errors.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { inNetworkNamespace } from '../../linux/network-namespace.ts';
import { bindInetSocket, openInetSocket } from '../../linux/sockets.ts';
import type { DnsSockets } from '../dns/dns-server.ts';
import { embeddedResolver } from '../dns/resolv-conf.ts';
import { installDnsRedirect } from '../firewall/dns-redirect.ts';
import type { DnsSpec } from '../net-calls.ts';
import type { Undo } from './all-or-nothing.ts';
import type { NetParts, Sandbox } from './net-parts.ts';

/** Brings a container from the DNS it has (none, perhaps) to the one it is to have. */
export async function changeDns(parts: NetParts, sandbox: Sandbox, spec: DnsSpec | null, undo: Undo): Promise<void> {
  const before = sandbox.dns;
  if (spec === null) {
    parts.dns.removeSandbox(sandbox.id);
    sandbox.dns = null;
  } else if (before === null) {
    await startDns(parts, sandbox, spec, openDnsSockets(sandbox.fd), undo);
  } else {
    parts.dns.updateSandbox(sandbox.id, spec);
    sandbox.dns = { ...before, spec };
    undo('changing DNS back', () => {
      parts.dns.updateSandbox(sandbox.id, before.spec);
      sandbox.dns = before;
    });
  }
}

/** The sockets belong to the DNS server from here on, whatever happens. */
export async function startDns(parts: NetParts, sandbox: Sandbox, spec: DnsSpec, sockets: DnsSockets, undo: Undo): Promise<void> {
  const { fd } = sandbox;
  await parts.dns.addSandbox(sandbox.id, spec, sockets, (family, protocol) =>
    inNetworkNamespace(fd, () => openInetSocket(family, protocol)),
  );
  sandbox.dns = { spec, ...sockets };
  undo('stopping DNS', () => {
    parts.dns.removeSandbox(sandbox.id);
    sandbox.dns = null;
  });
}

export function openDnsSockets(namespace: number): DnsSockets {
  return inNetworkNamespace(namespace, () => {
    const udp = bindUsual('udp');
    try {
      const tcp = bindUsual('tcp');
      try {
        installDnsRedirect(udp.port, tcp.port);
        return { udp: udp.fd, tcp: tcp.fd };
      } catch (thrown) {
        closeDescriptor(tcp.fd);
        throw thrown;
      }
    } catch (thrown) {
      closeDescriptor(udp.fd);
      throw thrown;
    }
  });
}

/** What the kernel chose first. In a new namespace every port is free, and the same ones everywhere are less work. */
const usualPorts = new Map<'udp' | 'tcp', number>();

function bindUsual(protocol: 'udp' | 'tcp'): { fd: number; port: number } {
  const bindTo = (port: number) => bindInetSocket({ protocol, address: embeddedResolver, port });
  let outcome = bindTo(usualPorts.get(protocol) ?? 0);
  // A program of the container has it.
  if (outcome.kind === 'taken') outcome = bindTo(0);
  if (outcome.kind !== 'bound')
    throw new EngineError('system', `cannot open a DNS socket in a container's network namespace: ${outcome.kind}`);
  if (!usualPorts.has(protocol)) usualPorts.set(protocol, outcome.port);
  return outcome;
}
