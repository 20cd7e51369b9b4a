/**
 * The routes of the API and how a path finds its own.
 *
 * Patterns are Docker's: `/containers/{id}/json`, and `{name:*}` for image names, which contain slashes (`/images/{name:*}/json`). Routes are tried in the
 * order of their literal text, longest first, so that `/images/{name:*}/json` wins over `/images/{name:*}` and `/images/json` over both.
 */
import { invalid } from '../base/errors.ts';
import type { Exchange } from './exchange.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';

export interface Route {
  readonly method: Method;
  readonly pattern: string;
  /** `json`: a body must be JSON and say so. `any`: a stream, or a body that is not looked at, of any type. */
  readonly body: 'json' | 'any';
  /** The connection may leave HTTP: attach and exec start. */
  readonly hijack?: true;
  handle(exchange: Exchange): Promise<void>;
}

export interface RouteMatch {
  readonly route: Route;
  readonly parameters: Readonly<Record<string, string>>;
}

export interface RouteTable {
  /** `path` without version prefix and query, still percent-encoded. */
  match(method: string, path: string): RouteMatch | null;
}

interface CompiledRoute {
  readonly route: Route;
  readonly expression: RegExp;
  readonly names: readonly string[];
  readonly literalLength: number;
}

export function createRouteTable(routes: readonly Route[]): RouteTable {
  const byMethod = Map.groupBy(routes.map(compile), ({ route }) => route.method);
  for (const list of byMethod.values()) list.sort((a, b) => b.literalLength - a.literalLength);
  return {
    match(method, path) {
      for (const compiled of byMethod.get(method as Method) ?? []) {
        const found = compiled.expression.exec(path);
        if (found !== null) return { route: compiled.route, parameters: decodeParameters(compiled.names, found) };
      }
      return null;
    },
  };
}

function compile(route: Route): CompiledRoute {
  const names: string[] = [];
  let literalLength = 0;
  const source = route.pattern
    .split(/(\{[^}]+\})/)
    .map((part) => {
      const parameter = /^\{(\w+)(:\*)?\}$/.exec(part);
      if (parameter === null) {
        literalLength += part.length;
        return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      }
      names.push(parameter[1] as string);
      return parameter[2] === undefined ? '([^/]+)' : '(.+)';
    })
    .join('');
  return { route, expression: new RegExp(`^${source}$`), names, literalLength };
}

function decodeParameters(names: readonly string[], found: RegExpExecArray): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name, index) => [name, decodePathPart(found[index + 1] ?? '')]));
}

function decodePathPart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw invalid(`invalid path: ${JSON.stringify(text)} is not percent-encoded UTF-8`, { cause });
  }
}
