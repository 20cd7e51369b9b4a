/** Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4). */
export type Labels = Readonly<Record<string, string>>;

/** A series is never made for what a client invents: label values come from closed lists. */
export class Counter {
  readonly #series = new Map<string, number>();
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';

  constructor(name: string, help: string, type: 'counter' | 'gauge' = 'counter') {
    this.name = name;
    this.help = help;
    this.type = type;
  }

  add(labels: Labels = {}, amount = 1): void {
    const key = labelText(labels);
    this.#series.set(key, (this.#series.get(key) ?? 0) + amount);
  }

  set(labels: Labels, value: number): void {
    this.#series.set(labelText(labels), value);
  }

  get(labels: Labels = {}): number {
    return this.#series.get(labelText(labels)) ?? 0;
  }

  text(): string {
    const lines = [...this.#series].map(([labels, value]) => `${this.name}${labels === '' ? '' : `{${labels}}`} ${value}\n`);
    return `${head(this.name, this.help, this.type)}${lines.join('')}`;
  }
}

export class Histogram {
  readonly #series = new Map<string, { readonly counts: number[]; sum: number; count: number }>();
  readonly name: string;
  readonly help: string;
  readonly bounds: readonly number[];

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.bounds = bounds;
  }

  observe(labels: Labels, value: number): void {
    const key = labelText(labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { counts: this.bounds.map(() => 0), sum: 0, count: 0 };
      this.#series.set(key, series);
    }
    const bucket = this.bounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
    series.count += 1;
  }

  text(): string {
    const lines = [...this.#series].flatMap(([labels, { counts, sum, count }]) => {
      const comma = labels === '' ? '' : ',';
      let below = 0;
      const buckets = counts.map((inBucket, index) => {
        below += inBucket;
        return `${this.name}_bucket{${labels}${comma}le="${this.bounds[index]}"} ${below}\n`;
      });
      const braces = labels === '' ? '' : `{${labels}}`;
      return [
        ...buckets,
        `${this.name}_bucket{${labels}${comma}le="+Inf"} ${count}\n`,
        `${this.name}_sum${braces} ${sum}\n`,
        `${this.name}_count${braces} ${count}\n`,
      ];
    });
    return `${head(this.name, this.help, 'histogram')}${lines.join('')}`;
  }
}

function head(name: string, help: string, type: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
    .join(',');
}
