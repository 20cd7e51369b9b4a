/**
 * The way to each host: its certificates, whether they are checked, its proxy, and the connections that are kept alive.
 *
 * A connection is only ever used again under the rules that it was made under: agents are kept by everything that decided about them. Certificates are read again
 * after a while, so that a renewed one needs no restart.
 */
import { lookup as lookupName } from 'node:dns';
import { type ClientRequest, Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';
import { digestOf } from '../oci/digest.ts';
import { type AddressRule, isAllowed, literalAddress } from './address-rule.ts';
import { type HostCertificates, hostCertificates, secureContext } from './certificates.ts';
import { AddressRefused } from './connection-failure.ts';
import type { Route } from './http-transport.ts';
import { type ProxyServer, proxyFor } from './proxy-choice.ts';
import type { RegistrySettings } from './registry-client.ts';
import { tapped } from './socket-tap.ts';

const certificatesFreshMs = 30_000;
const idleMs = 60_000;
const connectionsKept = 32;

export interface Routes {
  /** `isVerified`: false only for hosts that are declared insecure. */
  to(url: URL, addresses: AddressRule, isVerified: boolean): Promise<Route>;
  /** Idle connections are closed now, busy ones when they are done. */
  retire(): void;
}

export function createRoutes(settings: RegistrySettings): Routes {
  const agents = new Map<string, HttpAgent>();
  const certificates = new Map<string, { readonly at: number; readonly found: Promise<HostCertificates | null> }>();

  const certificatesOf = (host: string): Promise<HostCertificates | null> => {
    const known = certificates.get(host);
    if (known && performance.now() - known.at < certificatesFreshMs) return known.found;
    const found = hostCertificates(settings.certificateDirectories, host);
    certificates.set(host, { at: performance.now(), found });
    found.catch(() => certificates.delete(host));
    return found;
  };

  const agentFor = async (url: URL, rule: AddressRule, isVerified: boolean, proxy: ProxyServer | null): Promise<HttpAgent> => {
    const isTls = url.protocol === 'https:';
    const own = isTls ? await certificatesOf(url.host) : null;
    const trust = own === null ? '' : `${url.host} ${digestOf(JSON.stringify(own))}`;
    const key = [isTls, rule, isVerified, trust, proxy?.url.href, proxy?.authorization].join('|');
    const known = agents.get(key);
    if (known) return known;
    const options = { keepAlive: true, maxFreeSockets: connectionsKept, timeout: idleMs, ...(proxy ? {} : addressGuard(rule)) };
    const secure = { secureContext: isTls ? secureContext(own) : undefined, rejectUnauthorized: isVerified };
    const agent = isTls
      ? proxy
        ? tunnelAgent(proxy, { ...options, ...secure })
        : withTaps(new HttpsAgent({ ...options, ...secure }))
      : withTaps(new HttpAgent(options));
    agents.set(key, agent);
    return agent;
  };

  return {
    async to(url, addresses, isVerified) {
      const proxy = proxyFor(url, settings.proxies);
      const agent = await agentFor(url, addresses, isVerified, proxy);
      const plainProxy = url.protocol === 'http:' ? proxy : null;
      return { agent, addresses, plainProxy, isProxied: proxy !== null, stallMs: settings.stallMs };
    },
    retire() {
      for (const agent of agents.values()) {
        agent.maxFreeSockets = 0;
        for (const idle of Object.values(agent.freeSockets)) for (const socket of idle ?? []) socket.destroy();
      }
      agents.clear();
    },
  };
}

/** The addresses of a name are sorted out where the connection takes them from: what was checked is what is connected to. */
function addressGuard(rule: AddressRule): { lookup?: LookupFunction } {
  if (rule === 'any') return {};
  const lookup: LookupFunction = (hostname, options, done) => {
    lookupName(hostname, { ...options, all: true }, (failure, addresses) => {
      if (failure) return done(failure, '', 0);
      const allowed = addresses.filter(({ address }) => isAllowed(rule, address));
      const first = allowed[0];
      if (!first) return done(new AddressRefused(addresses[0]?.address ?? hostname), '', 0);
      return options.all ? done(null, allowed) : done(null, first.address, first.family);
    });
  };
  return { lookup };
}

/** Each connection can hand out large bodies without the parser. */
function withTaps(agent: HttpAgent): HttpAgent {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, done) => tapped((onread) => connect({ ...options, onread } as typeof options, done) as Socket);
  return agent;
}

/** A proxy that takes connections and says nothing. */
const tunnelMs = 60_000;

/** TLS through a proxy: `CONNECT host:port`, then TLS inside. */
function tunnelAgent(proxy: ProxyServer, options: ConstructorParameters<typeof HttpsAgent>[0]): HttpsAgent {
  const agent = new HttpsAgent(options);
  agent.createConnection = (target, done) => {
    const host = String(target.host);
    const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${target.port}`;
    const connecting = openTunnel(proxy, authority);
    // The request that waits for the connection has a clock of its own, but knows nothing of this one.
    const late = setTimeout(() => connecting.destroy(new Error(`proxy ${proxy.url.host} does not answer to CONNECT`)), tunnelMs);
    connecting.once('close', () => clearTimeout(late));
    connecting.once('connect', () => clearTimeout(late));
    connecting.on('error', (failure) => done?.(failure, undefined as unknown as Duplex));
    connecting.on('connect', (answer, socket: Socket) => {
      if (answer.statusCode !== 200) {
        socket.destroy();
        return done?.(
          new Error(`proxy ${proxy.url.host} answered ${answer.statusCode} to CONNECT ${authority}`),
          undefined as unknown as Duplex,
        );
      }
      const servername = isIP(host) === 0 ? host : '';
      const secure = tlsConnect({ ...options, socket, servername, ...(servername ? {} : { host }) } as ConnectionOptions);
      done?.(null, secure);
    });
    connecting.on('response', (answer) => {
      answer.destroy();
      done?.(new Error(`proxy ${proxy.url.host} answered ${answer.statusCode} to CONNECT ${authority}`), undefined as unknown as Duplex);
    });
    connecting.end();
    return undefined as unknown as Duplex;
  };
  return agent;
}

function openTunnel(proxy: ProxyServer, authority: string): ClientRequest {
  const isTls = proxy.url.protocol === 'https:';
  return (isTls ? httpsRequest : httpRequest)({
    method: 'CONNECT',
    host: literalAddress(proxy.url.hostname) ?? proxy.url.hostname,
    port: proxy.url.port || (isTls ? 443 : 80),
    path: authority,
    agent: false,
    headers: { host: authority, ...(proxy.authorization === null ? {} : { 'proxy-authorization': proxy.authorization }) },
  });
}
