/** Tokens → tree, by recursive descent. The grammar is that of Go's text/template. */
import type { Command, Node, Operand, Pipeline, Place, Template } from './ast.ts';
import { syntaxError, type Token, tokenize } from './lexer.ts';

/** `functionNames`: calling any other name is an error here, as in Go, not at execution. */
export function parseTemplate(source: string, functionNames: ReadonlySet<string>): Template {
  return new Parser(source, functionNames).parse();
}

/** How a list of nodes ended. */
type Ending = { readonly kind: 'end' } | { readonly kind: 'else'; readonly chained: 'if' | 'with' | null } | { readonly kind: 'eof' };

const MAX_DEPTH = 200;

class Parser {
  readonly #source: string;
  readonly #tokens: readonly Token[];
  readonly #functions: ReadonlySet<string>;
  readonly #definitions = new Map<string, readonly Node[]>();
  /** Variables in scope; `$` always is. */
  #variables: string[] = ['$'];
  #at = 0;
  #rangeDepth = 0;
  #depth = 0;

  constructor(source: string, functions: ReadonlySet<string>) {
    this.#source = source;
    this.#tokens = tokenize(source);
    this.#functions = functions;
  }

  parse(): Template {
    const [body, ending] = this.#nodes();
    if (ending.kind !== 'eof') throw this.#error(`unexpected {{${ending.kind}}}`);
    return { body, definitions: this.#definitions };
  }

  #nodes(): [Node[], Ending] {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.#error('template is nested too deeply');
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#next();
      if (token.kind === 'text') nodes.push({ kind: 'text', text: token.text });
      else {
        const ending = token.kind === 'end' ? ({ kind: 'eof' } as const) : this.#action(nodes);
        if (ending !== null) {
          this.#depth -= 1;
          return [nodes, ending];
        }
      }
    }
  }

  /** After `{{`. Null: a node was added. */
  #action(nodes: Node[]): Ending | null {
    const word = this.#peek().kind === 'word' ? this.#peek().text : '';
    switch (word) {
      case 'end':
        this.#at += 1;
        this.#close('end');
        return { kind: 'end' };
      case 'else':
        this.#at += 1;
        return this.#else();
      case 'if':
      case 'with':
      case 'range':
        this.#at += 1;
        nodes.push(this.#block(word));
        return null;
      case 'break':
      case 'continue':
        this.#at += 1;
        if (this.#rangeDepth === 0) throw this.#error(`{{${word}}} outside {{range}}`);
        this.#close(word);
        nodes.push({ kind: word });
        return null;
      case 'template':
      case 'define':
      case 'block':
        this.#at += 1;
        this.#named(word, nodes);
        return null;
      default: {
        const pipeline = this.#pipeline('command');
        this.#close('command');
        nodes.push({ kind: 'action', pipeline });
        return null;
      }
    }
  }

  #else(): Ending {
    const token = this.#peek();
    if (token.kind === 'word' && (token.text === 'if' || token.text === 'with')) {
      this.#at += 1;
      return { kind: 'else', chained: token.text };
    }
    this.#close('else');
    return { kind: 'else', chained: null };
  }

  #block(kind: 'if' | 'with' | 'range'): Node {
    const scope = this.#variables.length;
    const pipeline = this.#pipeline(kind);
    this.#close(kind);
    if (kind === 'range') this.#rangeDepth += 1;
    const [body, ending] = this.#nodes();
    if (kind === 'range') this.#rangeDepth -= 1;
    const otherwise = this.#otherwise(kind, ending);
    this.#variables.length = scope;
    return { kind, pipeline, body, otherwise };
  }

  #otherwise(kind: 'if' | 'with' | 'range', ending: Ending): readonly Node[] {
    if (ending.kind === 'eof') throw this.#error('unexpected EOF');
    if (ending.kind === 'end') return [];
    if (ending.chained !== null) {
      if (ending.chained !== kind) throw this.#error(`unexpected <${ending.chained}> in else`);
      return [this.#block(kind)];
    }
    const [nodes, last] = this.#nodes();
    if (last.kind === 'eof') throw this.#error('unexpected EOF');
    if (last.kind === 'else') throw this.#error('expected end; found {{else}}');
    return nodes;
  }

  #named(kind: 'template' | 'define' | 'block', nodes: Node[]): void {
    const token = this.#next();
    if (token.kind !== 'string') throw this.#error(`unexpected "${token.text}" in ${kind} clause`);
    const place = this.#place(token);
    const pipeline = kind !== 'define' && this.#peek().kind !== 'close' ? this.#pipeline(kind) : null;
    this.#close(kind);
    if (kind !== 'template') {
      const outer = this.#variables;
      this.#variables = ['$'];
      const [body, ending] = this.#nodes();
      this.#variables = outer;
      if (ending.kind !== 'end') throw this.#error(ending.kind === 'eof' ? 'unexpected EOF' : `unexpected {{else}} in ${kind} clause`);
      this.#definitions.set(token.text, body);
    }
    if (kind !== 'define') nodes.push({ kind: 'template', name: token.text, pipeline, place });
  }

  #pipeline(context: string): Pipeline {
    const { variables, assigns } = this.#declaration(context);
    const commands: Command[] = [];
    for (;;) {
      commands.push(this.#command(context));
      const token = this.#peek();
      if (token.kind !== 'punctuation' || token.text !== '|') break;
      this.#at += 1;
    }
    this.#checkPipeline(commands);
    if (!assigns) this.#variables.push(...variables);
    return { variables, assigns, commands };
  }

  /** `$x := `, `$x = `, and in ranges `$i, $x := `. */
  #declaration(context: string): { readonly variables: readonly string[]; readonly assigns: boolean } {
    const first = this.#peek();
    const none = { variables: [], assigns: false };
    if (first.kind !== 'variable') return none;
    const operator = this.#tokens[this.#at + 1];
    if (operator?.kind !== 'punctuation') return none;
    if (operator.text === ':=' || operator.text === '=') {
      if (operator.text === '=' && !this.#variables.includes(first.text)) throw this.#error(`undefined variable "${first.text}"`);
      this.#at += 2;
      return { variables: [first.text], assigns: operator.text === '=' };
    }
    const second = this.#tokens[this.#at + 2];
    const assign = this.#tokens[this.#at + 3];
    if (operator.text === ',' && context === 'range' && second?.kind === 'variable' && (assign?.text === ':=' || assign?.text === '=')) {
      this.#at += 4;
      return { variables: [first.text, second.text], assigns: assign.text === '=' };
    }
    return none;
  }

  #command(context: string): Command {
    const start = this.#peek();
    const operands: Operand[] = [];
    for (;;) {
      const token = this.#peek();
      if (token.kind === 'close' || token.kind === 'end' || (token.kind === 'punctuation' && ['|', ')'].includes(token.text))) break;
      if (operands.length > 0 && !token.spaced) throw this.#error(`unexpected ${JSON.stringify(token.text)} in operand`);
      operands.push(this.#operand());
    }
    if (operands.length === 0) throw this.#error(this.#peek().kind === 'end' ? 'unclosed action' : `missing value for ${context}`);
    return { operands, place: { ...this.#place(start), text: this.#source.slice(start.offset, this.#endOfLast()).trim() } };
  }

  /** A command that takes a piped value must be something that can be called. */
  #checkPipeline(commands: readonly Command[]): void {
    for (const command of commands.slice(1)) {
      const kind = command.operands[0]?.kind;
      if (kind === 'literal' || kind === 'dot' || kind === 'nil')
        throw this.#error(`non executable command in pipeline stage ${commands.indexOf(command) + 1}`);
    }
  }

  #operand(): Operand {
    const token = this.#next();
    const place = this.#place(token);
    const base = this.#term(token, place);
    const second = this.#peek();
    const names = this.#fieldChain();
    if (names.length === 0) return base;
    // Go counts the column of a chain from its second part.
    const chainPlace = { ...this.#place(second), text: place.text + names.map((name) => `.${name}`).join('') };
    if (base.kind === 'field') return { ...base, names: [...base.names, ...names], place: chainPlace };
    if (base.kind === 'variable') return { ...base, names: [...base.names, ...names], place: chainPlace };
    if (base.kind === 'literal' || base.kind === 'nil') throw this.#error(`unexpected . after term "${token.text}"`);
    return { kind: 'chain', base, names, place: chainPlace };
  }

  #fieldChain(): string[] {
    const names: string[] = [];
    while (this.#peek().kind === 'field' && !this.#peek().spaced) names.push(this.#next().text);
    return names;
  }

  #term(token: Token, place: Place): Operand {
    switch (token.kind) {
      case 'field':
        return { kind: 'field', names: [token.text], place };
      case 'variable':
        if (!this.#variables.includes(token.text)) throw this.#error(`undefined variable "${token.text}"`);
        return { kind: 'variable', name: token.text, names: [], place };
      case 'string':
        return { kind: 'literal', value: token.text, place };
      case 'char':
        return { kind: 'literal', value: token.text.codePointAt(0) ?? 0, place };
      case 'number':
        return { kind: 'literal', value: this.#number(token.text), place };
      case 'word':
        return this.#word(token, place);
      case 'punctuation':
        if (token.text === '.') return { kind: 'dot', place };
        if (token.text === '(') return this.#parenthesis(place);
        break;
      default:
    }
    throw token.kind === 'end' ? this.#error('unclosed action') : this.#error(`unexpected ${JSON.stringify(token.text)} in operand`);
  }

  #word(token: Token, place: Place): Operand {
    if (token.text === 'true' || token.text === 'false') return { kind: 'literal', value: token.text === 'true', place };
    if (token.text === 'nil') return { kind: 'nil', place };
    if (!this.#functions.has(token.text)) throw this.#error(`function "${token.text}" not defined`);
    return { kind: 'function', name: token.text, place };
  }

  #parenthesis(place: Place): Operand {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.#error('template is nested too deeply');
    const pipeline = this.#pipeline('parenthesized pipeline');
    this.#depth -= 1;
    const close = this.#next();
    if (close.kind !== 'punctuation' || close.text !== ')') throw this.#error('unclosed left paren');
    return { kind: 'pipeline', pipeline, place };
  }

  #number(text: string): number {
    const negative = text.startsWith('-');
    const digits = text.replace(/^[+-]/, '');
    const value = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
    if (Number.isNaN(value)) throw this.#error(`bad number syntax: "${text}"`);
    return negative ? -value : value;
  }

  #close(context: string): void {
    const token = this.#next();
    if (token.kind === 'end') throw this.#error('unclosed action');
    if (token.kind !== 'close')
      throw this.#error(token.text === ')' ? 'unexpected right paren' : `unexpected ${JSON.stringify(token.text)} in ${context}`);
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: '', offset: this.#source.length, spaced: false };
  }

  #next(): Token {
    const token = this.#peek();
    this.#at += 1;
    return token;
  }

  /** Where the last consumed token ends, white space included. */
  #endOfLast(): number {
    return this.#peek().offset;
  }

  #place(token: Token): Place {
    const before = this.#source.slice(0, token.offset);
    const lineStart = before.lastIndexOf('\n') + 1;
    const text = /^(?:[.$]?\w+|[.$]|"[^"]*"|.)/.exec(this.#source.slice(token.offset))?.[0] ?? '';
    return { line: before.split('\n').length, column: token.offset - lineStart, text };
  }

  #error(message: string): Error {
    return syntaxError(this.#source, this.#tokens[Math.max(0, this.#at - 1)]?.offset ?? 0, message);
  }
}
