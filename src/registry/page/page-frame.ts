/** What every page has around it, and the headers that keep it harmless: no script, no foreign content, no frame, nothing kept where another user could see it. */
import { Html, html } from './html.ts';
import type { PageResponse } from './page-request.ts';
import { pageStyle, pageStyleSource } from './page-style.ts';

export interface Frame {
  readonly title: string;
  /** What the search box holds; null: no search on this page. */
  readonly search: { readonly action: string; readonly text: string; readonly label: string } | null;
  /** Null: nobody is logged in. */
  readonly user: string | null;
  /** There is a way to log in. */
  readonly canSignIn: boolean;
  readonly content: Html;
}

const headers = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': `default-src 'none'; style-src ${pageStyleSource}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'private, no-cache',
  Vary: 'Authorization',
} as const;

export function framed(frame: Frame, status = 200, more: Readonly<Record<string, string>> = {}): PageResponse {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${frame.title}</title>
<style>${new Html(pageStyle)}</style>
</head>
<body>
<header><div>
<a class="name" href="/">Gantry registry</a>
${frame.search && searchForm(frame.search)}
${who(frame)}
</div></header>
<main>
${frame.content}
</main>
</body>
</html>
`;
  return { status, headers: { ...headers, ...more }, body: page.text };
}

function searchForm({ action, text, label }: NonNullable<Frame['search']>): Html {
  return html`<form method="get" action="${action}" role="search">
<input type="search" name="q" value="${text}" placeholder="${label}" aria-label="${label}">
<button>Search</button>
</form>`;
}

function who({ user, canSignIn }: Frame): Html | null {
  if (user !== null) return html`<span class="who">${user}</span>`;
  return canSignIn ? html`<a class="who" href="/login">Log in</a>` : null;
}
