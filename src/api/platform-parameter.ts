/**
 * The `platform` parameter: JSON, `{"os":"linux","architecture":"amd64"}` (1.48 and newer), or `linux/amd64`. An image is kept for one platform here, so of images that
 * are here it chooses nothing: it is right or it is an error.
 */
import { invalid, notFound } from '../base/errors.ts';
import type { Image } from '../images/catalogue.ts';
import type { Platform } from '../oci/platform.ts';
import { parseJsonText } from '../wire/json-text.ts';
import type { Exchange } from './exchange.ts';

export function requirePlatform(exchange: Exchange, image: Image, reference: string): void {
  const wanted = platformParameter(exchange);
  if (wanted === null) return;
  const { os, architecture, variant } = image.config;
  const matches =
    wanted.os === os && wanted.architecture === architecture && (wanted.variant === undefined || wanted.variant === (variant ?? ''));
  if (!matches) {
    throw notFound(
      `image with reference ${reference} was found but does not provide the specified platform (${wanted.os}/${wanted.architecture})`,
    );
  }
}

/** Null: none is given. */
export function platformParameter(exchange: Exchange): Platform | null {
  const text = exchange.text('platform') ?? '';
  if (text === '') return null;
  const parts = text.startsWith('{') ? fromJson(text) : text.split('/');
  const [os, architecture, variant = ''] = parts;
  if (typeof os !== 'string' || typeof architecture !== 'string' || typeof variant !== 'string' || os === '' || architecture === '') {
    throw invalid(`invalid platform ${text}: write linux/amd64 or {"os":"linux","architecture":"amd64"}`);
  }
  return { os, architecture, ...(variant === '' ? {} : { variant }) };
}

function fromJson(text: string): readonly unknown[] {
  const parsed = parseJsonText(text, 'the parameter "platform"') as Readonly<Record<string, unknown>>;
  return [parsed.os, parsed.architecture, parsed.variant ?? ''];
}
