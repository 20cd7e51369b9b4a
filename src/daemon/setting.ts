/** One thing that can be told to the daemon, as a flag and in the configuration file. */
export type SettingKind = 'text' | 'list' | 'switch' | 'number';

export interface Setting {
  readonly flag: string;
  readonly short?: string;
  /** Key in the configuration file, `outer.inner` in an object there; null: not allowed there. */
  readonly key: string | null;
  readonly kind: SettingKind;
  readonly help: string;
  /** What the configuration file has instead of the flag's texts, as those texts. Absent: the kind says it. */
  readonly fromJson?: (value: unknown, name: string) => readonly string[];
  /** Values that say what is so anyway; everything else is refused with the reason. Absent: built. */
  readonly unbuilt?: { readonly accepted: readonly string[]; readonly why: string };
}
