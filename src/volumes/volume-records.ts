/** The records of volumes: held in memory, written through to the database, on the disk when a write returns. */
import type { Database, SqlValue, Statement } from '../store/database.ts';

export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  /** A rename was under way when the daemon ended. */
  readonly renamingTo: string | null;
}

interface Row {
  readonly name: string;
  readonly driver: string;
  readonly options: string;
  readonly labels: string;
  readonly created_at: number;
  readonly renaming_to: string | null;
}

export class VolumeRecords {
  readonly #database: Database;
  readonly #records = new Map<string, VolumeRecord>();

  private constructor(database: Database) {
    this.#database = database;
  }

  static async load(database: Database): Promise<VolumeRecords> {
    const records = new VolumeRecords(database);
    for (const row of await database.query<Row>('SELECT * FROM volumes')) records.#records.set(row.name, fromRow(row));
    return records;
  }

  get(name: string): VolumeRecord | null {
    return this.#records.get(name) ?? null;
  }

  all(): readonly VolumeRecord[] {
    return [...this.#records.values()];
  }

  async add(record: VolumeRecord): Promise<void> {
    await this.#write(insertion(record));
    this.#records.set(record.name, record);
  }

  async remove(name: string): Promise<void> {
    await this.#write({ sql: 'DELETE FROM volumes WHERE name = ?', params: [name] });
    this.#records.delete(name);
  }

  /** Before the directory gets its new name; null takes it back. */
  async announceRename(record: VolumeRecord, newName: string | null): Promise<void> {
    await this.#write({ sql: 'UPDATE volumes SET renaming_to = ? WHERE name = ?', params: [newName, record.name] });
    this.#records.set(record.name, { ...record, renamingTo: newName });
  }

  async replace(oldName: string, record: VolumeRecord): Promise<void> {
    await this.#write({ sql: 'DELETE FROM volumes WHERE name = ?', params: [oldName] }, insertion(record));
    this.#records.delete(oldName);
    this.#records.set(record.name, record);
  }

  #write(...statements: readonly Statement[]): Promise<void> {
    return this.#database.write('full', statements);
  }
}

function insertion(record: VolumeRecord): Statement {
  const params: SqlValue[] = [
    record.name,
    record.driver,
    JSON.stringify(record.options),
    JSON.stringify(record.labels),
    record.createdAt.getTime(),
    record.renamingTo,
  ];
  return { sql: 'INSERT INTO volumes (name, driver, options, labels, created_at, renaming_to) VALUES (?, ?, ?, ?, ?, ?)', params };
}

function fromRow(row: Row): VolumeRecord {
  return {
    name: row.name,
    driver: row.driver,
    options: JSON.parse(row.options),
    labels: JSON.parse(row.labels),
    createdAt: new Date(row.created_at),
    renamingTo: row.renaming_to,
  };
}
