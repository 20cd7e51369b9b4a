/** `--format` of the commands that print rows: `table`, `table TEMPLATE`, `json`, or a template for each row. */
import { CliError } from '../cli-error.ts';
import type { Template } from '../template/ast.ts';
import { executeTemplate, type FunctionTable, TemplateExecutionError } from '../template/evaluate.ts';
import { functionNames, templateFunctions } from '../template/functions.ts';
import { Struct, type Value } from '../template/go-value.ts';
import { TemplateSyntaxError } from '../template/lexer.ts';
import { parseTemplate } from '../template/parser.ts';
import { alignColumns } from './tab-writer.ts';

export interface RowFormat {
  /** As given by `--format`, empty when it was not. */
  readonly format: string;
  /** What `table` alone stands for; without the word `table`. */
  readonly defaultTable: string;
  /** Field → column title. */
  readonly headers: Readonly<Record<string, string>>;
  /** What `--format raw` stands for, Docker's oldest form for programs. */
  readonly raw?: string;
}

/** The text for all rows, ending in a line break unless it is empty. */
export function formatRows(format: RowFormat, rows: readonly Struct[]): string {
  const isTable = format.format === '' || format.format.startsWith('table');
  const source = rowTemplate(format);
  const template = parseOrExplain(source, 'failed to parse template', 1);
  let text = '';
  for (const row of rows) text += `${executeOrExplain(() => executeTemplate(template, row, templateFunctions))}\n`;
  if (!isTable && rows.length === 0) checkFields(template, format.headers);
  if (!isTable) return text;
  const header = executeOrExplain(() => executeTemplate(template, headerRow(format.headers), headerFunctions));
  return alignColumns(`${header}\n${text}`);
}

/** A wrong field is told even when there is no row to show it on. */
function checkFields(template: Template, headers: Readonly<Record<string, string>>): void {
  try {
    executeTemplate(template, headerRow(headers), headerFunctions);
  } catch (error) {
    if (error instanceof TemplateExecutionError && error.message.includes("can't evaluate field"))
      throw new CliError(`failed to execute template: ${error.message}`, 1, { cause: error });
  }
}

function rowTemplate({ format, defaultTable, raw }: RowFormat): string {
  if (format === '' || format === 'table') return defaultTable;
  if (format === 'json') return '{{json .}}';
  if (format === 'raw' && raw !== undefined) return raw;
  const custom = (format.startsWith('table') ? format.slice(5) : format).replace(/^ +| +$/g, '');
  return expandEscapes(custom);
}

/** `\t` and `\n` typed in a shell mean tab and line break, except inside of actions, where the template reads its own string literals. */
function expandEscapes(text: string): string {
  return text.replace(/{{.*?}}|\\t|\\n/gs, (match) => (match === '\\t' ? '\t' : match === '\\n' ? '\n' : match));
}

/** Docker words it one way for rows and another for `inspect`, and ends with 64 there. */
export function parseOrExplain(source: string, complaint = 'template parsing error', exitCode = 64): ReturnType<typeof parseTemplate> {
  try {
    return parseTemplate(source, functionNames);
  } catch (error) {
    if (error instanceof TemplateSyntaxError) throw new CliError(`${complaint}: ${error.message}`, exitCode, { cause: error });
    throw error;
  }
}

export function executeOrExplain(execute: () => string): string {
  try {
    return execute();
  } catch (error) {
    if (error instanceof TemplateExecutionError) throw new CliError(`failed to execute template: ${error.message}`, 1, { cause: error });
    throw error;
  }
}

function headerRow(headers: Readonly<Record<string, string>>): Value {
  return new Struct('header', { ...headers, Label: (name: Value) => labelHeader(String(name)) });
}

/** `com.example.my-role` → `my role`. */
function labelHeader(name: string): string {
  return (name.split('.').at(-1) ?? '').replaceAll(/[-_]/g, ' ');
}

/** In the title row a function must leave the title alone. */
const headerFunctions: FunctionTable = {
  ...templateFunctions,
  json: (value) => value,
  title: (value) => value,
  lower: (value) => value,
  upper: (value) => value,
  truncate: (value) => value,
  pad: (value) => value,
  split: (value) => [value],
  join: (value) => (Array.isArray(value) ? value[0] : value),
};
