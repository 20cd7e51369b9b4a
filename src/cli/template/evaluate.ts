/** Tree + data → text. */
import type { Command, Node, Operand, Pipeline, Place, Template } from './ast.ts';
import { formatValue, GoMap, isTruthy, type Method, Struct, TypedNil, typeName, type Value } from './go-value.ts';

export type TemplateFunction = (...args: Value[]) => Value;
export type FunctionTable = Readonly<Record<string, TemplateFunction>>;

export class TemplateExecutionError extends Error {
  override readonly name = 'TemplateExecutionError';
}

/** What a missing field of a `Struct` is called in the error; Docker's words depend on what is shown. */
export type MissingFieldMessage = (name: string, type: string) => string;

const goMessage: MissingFieldMessage = (name, type) => `can't evaluate field ${name} in type ${type}`;

export function executeTemplate(
  template: Template,
  data: Value,
  functions: FunctionTable,
  missingField: MissingFieldMessage = goMessage,
): string {
  return new Evaluator(template, functions, missingField).run(data);
}

interface Variable {
  readonly name: string;
  value: Value;
}

type Flow = 'next' | 'break' | 'continue';

const MAX_TEMPLATE_DEPTH = 1000;
const MAX_OUTPUT_CHARACTERS = 256 * 1024 * 1024;

class Evaluator {
  readonly #template: Template;
  readonly #functions: FunctionTable;
  readonly #missingField: MissingFieldMessage;
  #variables: Variable[] = [];
  #output: string[] = [];
  #outputLength = 0;
  #depth = 0;

  constructor(template: Template, functions: FunctionTable, missingField: MissingFieldMessage) {
    this.#template = template;
    this.#functions = functions;
    this.#missingField = missingField;
  }

  run(data: Value): string {
    this.#variables = [{ name: '$', value: data }];
    this.#walk(this.#template.body, data);
    return this.#output.join('');
  }

  #walk(nodes: readonly Node[], dot: Value): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot);
      if (flow !== 'next') return flow;
    }
    return 'next';
  }

  #node(node: Node, dot: Value): Flow {
    switch (node.kind) {
      case 'text':
        this.#write(node.text);
        return 'next';
      case 'action': {
        const value = this.#pipeline(node.pipeline, dot);
        if (node.pipeline.variables.length === 0) this.#write(formatValue(value));
        return 'next';
      }
      case 'if':
      case 'with':
        return this.#scoped(() => {
          const value = this.#pipeline(node.pipeline, dot);
          if (!isTruthy(value)) return this.#walk(node.otherwise, dot);
          return this.#walk(node.body, node.kind === 'with' ? value : dot);
        });
      case 'range':
        this.#scoped(() => this.#range(node.pipeline, node.body, node.otherwise, dot));
        return 'next';
      case 'template':
        this.#call(node.name, node.pipeline === null ? undefined : this.#pipeline(node.pipeline, dot), node.place);
        return 'next';
      default:
        return node.kind;
    }
  }

  #write(text: string): void {
    this.#outputLength += text.length;
    if (this.#outputLength > MAX_OUTPUT_CHARACTERS) throw new TemplateExecutionError('template: the output is too large');
    this.#output.push(text);
  }

  #scoped<T>(run: () => T): T {
    const mark = this.#variables.length;
    try {
      return run();
    } finally {
      this.#variables.length = mark;
    }
  }

  #range(pipeline: Pipeline, body: readonly Node[], otherwise: readonly Node[], dot: Value): Flow {
    const over = this.#commands(pipeline, dot);
    const entries = this.#entries(over, pipeline);
    for (const [key, value] of entries) {
      const flow = this.#scoped(() => {
        this.#bindRange(pipeline, key, value);
        return this.#walk(body, value);
      });
      if (flow === 'break') break;
    }
    return entries.length === 0 ? this.#walk(otherwise, dot) : 'next';
  }

  #bindRange(pipeline: Pipeline, key: Value, value: Value): void {
    const [first, second] = pipeline.variables;
    if (first === undefined) return;
    const bound: [string, Value][] =
      second === undefined
        ? [[first, value]]
        : [
            [first, key],
            [second, value],
          ];
    for (const [name, each] of bound) {
      if (pipeline.assigns) this.#assign(name, each);
      else this.#variables.push({ name, value: each });
    }
  }

  #entries(over: Value, pipeline: Pipeline): [Value, Value][] {
    if (over === undefined || over === null || over instanceof TypedNil) return [];
    if (over instanceof GoMap) return over.sortedKeys().map((key) => [key, over.entries.get(key)]);
    if (Array.isArray(over)) return over.map((value: Value, index) => [index, value]);
    if (typeof over === 'number' && Number.isInteger(over) && over >= 0 && over <= 10_000_000)
      return Array.from({ length: over }, (_, index) => [index, index]);
    const place = pipeline.commands[0]?.place;
    throw this.#error(place, `range can't iterate over ${formatValue(over)}`);
  }

  #call(name: string, data: Value, place: Place): void {
    const body = this.#template.definitions.get(name);
    if (body === undefined) throw this.#error(place, `template "${name}" not defined`);
    if (this.#depth >= MAX_TEMPLATE_DEPTH) throw this.#error(place, `exceeded maximum template depth (${MAX_TEMPLATE_DEPTH})`);
    const outer = this.#variables;
    this.#variables = [{ name: '$', value: data }];
    this.#depth += 1;
    this.#walk(body, data);
    this.#depth -= 1;
    this.#variables = outer;
  }

  #pipeline(pipeline: Pipeline, dot: Value): Value {
    const value = this.#commands(pipeline, dot);
    for (const name of pipeline.variables) {
      if (pipeline.assigns) this.#assign(name, value);
      else this.#variables.push({ name, value });
    }
    return value;
  }

  #commands(pipeline: Pipeline, dot: Value): Value {
    let value: Value;
    pipeline.commands.forEach((command, index) => {
      value = this.#command(command, dot, index === 0 ? [] : [value]);
    });
    return value;
  }

  #assign(name: string, value: Value): void {
    const variable = this.#variables.findLast((candidate) => candidate.name === name);
    if (variable !== undefined) variable.value = value;
  }

  #command(command: Command, dot: Value, piped: readonly Value[]): Value {
    const [first, ...rest] = command.operands;
    if (first === undefined) return undefined;
    if (first.kind === 'function') return this.#function(first.name, command.place, rest, dot, piped);
    const isCall = rest.length > 0 || piped.length > 0;
    if (!isCall) return this.#operand(first, dot);
    const callee = this.#callable(first, dot);
    if (callee === null) throw this.#error(first.place, `can't give argument to non-function ${first.place.text}`);
    return this.#invoke(callee, [...rest.map((operand) => this.#operand(operand, dot)), ...piped], first.place);
  }

  #function(name: string, place: Place, operands: readonly Operand[], dot: Value, piped: readonly Value[]): Value {
    if (name === 'and' || name === 'or') return this.#shortCircuit(name, operands, dot, piped, place);
    const implementation = this.#functions[name];
    if (implementation === undefined) throw this.#error(place, `"${name}" is not a defined function`);
    const args = [...operands.map((operand) => this.#operand(operand, dot)), ...piped];
    try {
      return implementation(...args);
    } catch (error) {
      if (error instanceof TemplateExecutionError) throw error;
      throw this.#error(place, `error calling ${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** The value that decided, as Go gives it; later arguments are not evaluated. */
  #shortCircuit(name: 'and' | 'or', operands: readonly Operand[], dot: Value, piped: readonly Value[], place: Place): Value {
    if (operands.length + piped.length === 0) throw this.#error(place, `wrong number of args for ${name}: want at least 1 got 0`);
    let value: Value;
    for (const operand of operands) {
      value = this.#operand(operand, dot);
      if (isTruthy(value) === (name === 'or')) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: Value): Value {
    switch (operand.kind) {
      case 'dot':
        return dot;
      case 'nil':
        return null;
      case 'literal':
        return operand.value;
      case 'function':
        return this.#function(operand.name, operand.place, [], dot, []);
      case 'field':
        return this.#fields(dot, operand.names, operand.place);
      case 'variable':
        return this.#fields(this.#variables.findLast((candidate) => candidate.name === operand.name)?.value, operand.names, operand.place);
      case 'chain':
        return this.#fields(this.#operand(operand.base, dot), operand.names, operand.place);
      case 'pipeline':
        return this.#scoped(() => this.#pipeline(operand.pipeline, dot));
    }
  }

  #fields(base: Value, names: readonly string[], place: Place): Value {
    let value = base;
    for (const name of names) {
      const field = this.#field(value, name, place);
      value = typeof field === 'function' ? this.#invoke(field, [], place) : field;
    }
    return value;
  }

  /** The method that a field or variable chain ends in, null when it ends in a plain value. */
  #callable(operand: Operand, dot: Value): Method | null {
    if (operand.kind !== 'field' && operand.kind !== 'variable' && operand.kind !== 'chain') return null;
    const base =
      operand.kind === 'field'
        ? dot
        : operand.kind === 'chain'
          ? this.#operand(operand.base, dot)
          : this.#operand({ ...operand, names: [] }, dot);
    const last = operand.names.at(-1);
    if (last === undefined) return null;
    const field = this.#field(this.#fields(base, operand.names.slice(0, -1), operand.place), last, operand.place);
    return typeof field === 'function' ? field : null;
  }

  #field(value: Value, name: string, place: Place): Value | Method {
    if (value === undefined) return undefined;
    if (value === null) throw this.#error(place, `nil pointer evaluating interface {}.${name}`);
    if (value instanceof Struct) {
      if (!value.has(name)) throw this.#error(place, this.#missingField(name, value.typeName));
      return value.field(name);
    }
    if (value instanceof GoMap) return value.entries.get(name);
    if (value instanceof TypedNil) {
      if (value.kind === 'map') return undefined;
      throw this.#error(place, `nil pointer evaluating *${name}`);
    }
    throw this.#error(place, `can't evaluate field ${name} in type ${typeName(value)}`);
  }

  #invoke(method: Method, args: readonly Value[], place: Place): Value {
    if (args.length !== method.length)
      throw this.#error(place, `wrong number of args for ${place.text.replace(/^.*\./, '')}: want ${method.length} got ${args.length}`);
    return method(...args);
  }

  #error(place: Place | undefined, message: string): TemplateExecutionError {
    if (place === undefined) return new TemplateExecutionError(`template: ${message}`);
    return new TemplateExecutionError(`template: :${place.line}:${place.column}: executing "" at <${place.text}>: ${message}`);
  }
}
