/** `annotations` of a description or of a device: texts by names as Kubernetes has them, since 0.6.0. */
import { below, type Fields, problemAt, shortened } from './fields.ts';

const maximumBytes = 256 * 1024;

/** Undefined: there are none. */
export function parseAnnotations(fields: Fields): Readonly<Record<string, string>> | undefined {
  const annotations = fields.map('annotations');
  if (annotations === undefined || Object.keys(annotations).length === 0) return undefined;
  fields.needs('annotations', '0.6.0');
  for (const key of Object.keys(annotations)) {
    if (!isAnnotationKey(key))
      throw problemAt(
        below(fields.at('annotations'), shortened(key)),
        'the name of an annotation is NAME or domain.com/NAME, where NAME has at most 63 letters, digits, "_", "-" and "."',
      );
  }
  const bytes = Object.entries(annotations).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
  if (bytes > maximumBytes) throw fields.problem('annotations', `has ${bytes} bytes: ${maximumBytes} are allowed`);
  return annotations;
}

function isAnnotationKey(key: string): boolean {
  const [name = '', prefix, ...others] = key.split('/').reverse();
  const isPrefixed = prefix === undefined || (prefix.length <= 253 && /^[a-z\d](?:[a-z\d.-]*[a-z\d])?$/.test(prefix.toLowerCase()));
  return others.length === 0 && isPrefixed && name.length <= 63 && /^[A-Za-z\d](?:[\w.-]*[A-Za-z\d])?$/.test(name);
}
