/** What `inspect` prints: the documents found as one JSON array, or each through a template; then a complaint for each that was not found. */

import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { parseOrExplain } from '../format/row-format.ts';
import { executeTemplate, TemplateExecutionError } from '../template/evaluate.ts';
import { templateFunctions } from '../template/functions.ts';
import { indentJson } from './indent-json.ts';
import { inspectValue } from './inspect-value.ts';

/** `fetch` gives the document as text. */
export async function showObjects(
  context: CommandContext,
  names: readonly string[],
  format: string,
  fetch: (name: string) => Promise<string>,
): Promise<number> {
  const render = renderer(format);
  const documents: string[] = [];
  const complaints: string[] = [];
  for (const name of names) {
    try {
      documents.push((await fetch(name)).trim());
    } catch (error) {
      complaints.push(errorMessage(error));
    }
  }
  context.print(renderOrBlank(context, render, documents));
  for (const complaint of complaints) context.printError(`${complaint}\n`);
  return complaints.length > 0 ? 1 : 0;
}

/** Docker ends the line even when the template failed on the way. */
function renderOrBlank(context: CommandContext, render: ReturnType<typeof renderer>, documents: readonly string[]): string {
  try {
    return render(documents);
  } catch (error) {
    context.print('\n');
    throw error;
  }
}

function renderer(format: string): (documents: readonly string[]) => string {
  if (format === '') return (documents) => `${indentJson(`[${documents.join(',')}]`)}\n`;
  if (format === 'json') return (documents) => `[${documents.join(',')}]\n`;
  const template = parseOrExplain(format);
  return (documents) => documents.map((document) => `${executeDocument(template, document)}\n`).join('') || '\n';
}

export function executeDocument(template: ReturnType<typeof parseOrExplain>, document: string): string {
  try {
    return executeTemplate(template, inspectValue(JSON.parse(document)), templateFunctions, (name) => `map has no entry for key "${name}"`);
  } catch (error) {
    if (error instanceof TemplateExecutionError) throw new CliError(`template parsing error: ${error.message}`, 1, { cause: error });
    throw error;
  }
}
