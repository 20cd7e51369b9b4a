/**
 * Which variables an instruction sees.
 *
 *     global    automatic platform arguments, ARGs before the first FROM       seen by FROM and by other global ARGs only
 *     stage     ENV of the base, then ARG and ENV lines as they come           the later line wins, whichever of the two it is
 *
 * The value of a declared ARG: `--build-arg`, else its default, else the global ARG of its name, else it stays unset. What the image keeps is ENV alone; an ARG that comes
 * after an ENV hides it from later lines and leaves no trace in the image.
 */
import { formatPlatform, type Platform } from '../oci/platform.ts';
import { InstructionProblem } from './dockerfile-error.ts';
import type { Variables } from './expand.ts';

export interface BuildSettings {
  /** `--build-arg`. */
  readonly buildArguments: ReadonlyMap<string, string>;
  readonly targetPlatform: Platform;
  readonly buildPlatform: Platform;
  /** `--target`; null: the last stage. */
  readonly target: string | null;
}

/** Every instruction sees all of them: with more, those of a hostile file would cost their square. */
const maxVariables = 2000;

/** May be used without an ARG, and are no part of history and cache keys then. */
const proxyNames = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'];

export class GlobalScope implements Variables {
  readonly #settings: BuildSettings;
  readonly #values = new Map<string, string>();
  readonly #declared = new Set<string>();

  constructor(settings: BuildSettings) {
    this.#settings = settings;
    for (const [name, value] of automaticArguments(settings)) this.#declare(name, value);
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** `byDefault` is asked only when nothing was given for it. */
  declare(name: string, byDefault: (() => string) | null): void {
    this.#declare(name, byDefault);
  }

  /** Whether FROM may name it: declared, with or without a value. */
  isDeclared(name: string): boolean {
    return this.#declared.has(name);
  }

  names(): Iterable<string> {
    return this.#declared;
  }

  given(name: string): string | undefined {
    return this.#settings.buildArguments.get(name);
  }

  proxies(): ReadonlyMap<string, string> {
    const found = [...this.#settings.buildArguments].filter(([name]) => proxyNames.includes(name.toUpperCase()));
    return new Map(found.flatMap(([name, value]) => [[name.toUpperCase(), value] as const, [name.toLowerCase(), value] as const]));
  }

  #declare(name: string, byDefault: (() => string) | string | null): void {
    this.#declared.add(name);
    const value = this.given(name) ?? (typeof byDefault === 'function' ? byDefault() : byDefault);
    if (value !== null) this.#values.set(name, value);
  }
}

export class StageScope implements Variables {
  readonly #globals: GlobalScope;
  /** What later lines see. */
  readonly #visible: Map<string, string>;
  readonly #environment: Map<string, string>;
  /** Declared ARGs in order, their last value; null: none. */
  readonly #arguments: Map<string, string | null>;

  private constructor(
    globals: GlobalScope,
    visible: Map<string, string>,
    environment: Map<string, string>,
    declared: Map<string, string | null>,
  ) {
    this.#globals = globals;
    this.#visible = visible;
    this.#environment = environment;
    this.#arguments = declared;
  }

  /** Of a stage whose base is an image with this environment. */
  static onImage(globals: GlobalScope, environment: ReadonlyMap<string, string>): StageScope {
    return new StageScope(globals, new Map([...globals.proxies(), ...environment]), new Map(environment), new Map());
  }

  /** Of a stage that stands on this one, as it is now: its ARGs come along. */
  child(): StageScope {
    return new StageScope(this.#globals, new Map(this.#visible), new Map(this.#environment), new Map(this.#arguments));
  }

  get(name: string): string | undefined {
    return this.#visible.get(name);
  }

  declareArgument(name: string, byDefault: (() => string) | null): void {
    const value = this.#globals.given(name) ?? byDefault?.() ?? this.#globals.get(name) ?? null;
    this.#requireRoom(name);
    this.#arguments.set(name, value);
    if (value !== null) this.#visible.set(name, value);
  }

  setEnvironment(name: string, value: string): void {
    this.#requireRoom(name);
    this.#environment.set(name, value);
    this.#visible.set(name, value);
  }

  #requireRoom(name: string): void {
    if (Math.max(this.#visible.size, this.#arguments.size) < maxVariables || this.#visible.has(name)) return;
    throw new InstructionProblem(`more than ${maxVariables} variables, the limit`);
  }

  /** Of the image, in order of first appearance. */
  get environment(): ReadonlyMap<string, string> {
    return this.#environment;
  }

  get declaredArguments(): ReadonlyMap<string, string | null> {
    return this.#arguments;
  }

  names(): Iterable<string> {
    return this.#visible.keys();
  }
}

function automaticArguments({ targetPlatform, buildPlatform, target }: BuildSettings): readonly (readonly [string, string])[] {
  return [
    ...platformArguments('TARGET', targetPlatform),
    ...platformArguments('BUILD', buildPlatform),
    ['TARGETSTAGE', target ?? 'default'],
  ];
}

function platformArguments(prefix: string, platform: Platform): readonly (readonly [string, string])[] {
  return [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, platform['os.version'] ?? ''],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
}
