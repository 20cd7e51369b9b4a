/** Apart from the schemas of requests, whose library the command line must not load. */
import { errorText, invalid } from '../base/errors.ts';

/** `what` names the text in errors: "the request body". */
export function parseJsonText(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(`invalid JSON in ${what}: ${errorText(cause)}`, { cause });
  }
}
