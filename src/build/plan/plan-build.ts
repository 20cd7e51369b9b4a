/**
 * A Dockerfile to the graph of operations of one target stage. Stages that it does not need are not planned: their images are not asked for, their COPYs not looked up.
 *
 * A stage may use those above it only. Names mean, in this order: an earlier stage, a named context, an image.
 */
import { EngineError, invalid } from '../../base/errors.ts';
import { nearest } from '../../base/near-miss.ts';
import type { ConfigState } from '../../dockerfile/apply-config.ts';
import { InstructionProblem } from '../../dockerfile/dockerfile-error.ts';
import { expand } from '../../dockerfile/expand.ts';
import type { Instruction, Stage } from '../../dockerfile/instruction.ts';
import { type Dockerfile, parseDockerfile } from '../../dockerfile/parse-dockerfile.ts';
import { type BuildSettings, GlobalScope, StageScope } from '../../dockerfile/scope.ts';
import { spot, type Word } from '../../dockerfile/words.ts';
import { defaultPath } from '../../oci/image-config.ts';
import { formatPlatform, type Platform, parsePlatform } from '../../oci/platform.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { BaseImage, BuildPlan, PlannedStep, PlanSources, StageResult } from './build-plan.ts';
import type { ContextOperation, CopyOperation, Operation, Step } from './operation.ts';
import { atInstruction, located } from './plan-problem.ts';
import { type StageSources, StageWalk, stepKinds } from './plan-stage.ts';
import { mountSourceNames } from './run-mounts.ts';

export interface PlanSettings extends BuildSettings {
  /** Of RUNs that don't say. */
  readonly network: 'default' | 'none' | 'host';
  /** Seconds since 1970; null: when the base image was made, 0 on scratch. A stage on a stage has that one's. */
  readonly epoch: number | null;
  /** Several are built: titles say for which. */
  readonly showPlatforms: boolean;
}

const searchPath = `PATH=${defaultPath}`;
/** Known to the builder itself: nobody has to declare them. */
const builtInArgument = /^(BUILDKIT_.*|SOURCE_DATE_EPOCH|ATTEST_.*)$/;

export async function planBuild(dockerfile: Dockerfile, settings: PlanSettings, sources: PlanSources): Promise<BuildPlan> {
  const planner = new Planner(dockerfile, settings, sources);
  const index = targetIndex(dockerfile, settings.target);
  const { result } = await planner.stage(index);
  const target = dockerfile.stages[index];
  return {
    result,
    steps: planner.steps(),
    unusedArguments: unusedArguments(dockerfile, settings),
    targetPlace: target?.from.place ?? { startLine: 1, endLine: 1 },
  };
}

interface PlannedStage {
  readonly result: StageResult;
  readonly scope: StageScope;
}

class Planner {
  readonly #dockerfile: Dockerfile;
  readonly #settings: PlanSettings;
  readonly #sources: PlanSources;
  readonly #globals: GlobalScope;
  readonly #stages = new Map<number, Promise<PlannedStage>>();
  readonly #steps = new Map<number, readonly PlannedStep[]>();
  /** Of this build alone: who does operations knows by it whose they are. */
  readonly #context: ContextOperation = { kind: 'context', name: '' };

  constructor(dockerfile: Dockerfile, settings: PlanSettings, sources: PlanSources) {
    this.#dockerfile = dockerfile;
    this.#settings = settings;
    this.#sources = sources;
    this.#globals = new GlobalScope(settings);
    for (const instruction of dockerfile.globals) located(instruction, () => this.#declareGlobals(instruction));
  }

  /** When all is planned. */
  steps(): readonly PlannedStep[] {
    const globals = this.#dockerfile.globals.map(({ line, place }) => ({ text: line.text, place, operation: null }));
    return [...globals, ...[...this.#steps].sort(([one], [other]) => one - other).flatMap(([, steps]) => steps)];
  }

  stage(index: number): Promise<PlannedStage> {
    const known = this.#stages.get(index);
    if (known) return known;
    const planned = this.#planStage(index);
    this.#stages.set(index, planned);
    return planned;
  }

  #declareGlobals(instruction: Instruction): void {
    if (instruction.kind !== 'arg') return;
    for (const { name, value } of instruction.arguments) {
      this.#globals.declare(name.text, value && (() => this.#expandGlobal(value)));
    }
  }

  #expandGlobal(word: Word): string {
    return expand(word.text, { variables: this.#globals, escape: this.#dockerfile.directives.escape });
  }

  async #planStage(index: number): Promise<PlannedStage> {
    const stage = this.#stage(index);
    const replaced = stage.name === null ? null : this.#sources.namedContext(stage.name);
    const platform = located(stage.from, () => this.#platformOf(stage));
    if (replaced?.kind === 'files') return this.#contextStage(index, replaced.operation, platform);
    const reference = replaced?.kind === 'image' ? replaced.reference : located(stage.from, () => this.#referenceOf(stage));
    const below = replaced ? null : this.#stageBelow(reference, index);
    const title = this.#title(index, platform);
    const start = below === null ? await this.#onImage(reference, platform, stage, title) : onStage(await this.stage(below), platform);
    const instructions = replaced ? [] : [...start.triggers.flatMap((trigger) => triggered(trigger, stage)), ...stage.instructions];
    return await this.#walk(index, instructions, start, title);
  }

  /** In front of the number of each step: `build `; empty with one stage only. `linux/amd64->arm64 build ` where several platforms are built. */
  #title(index: number, platform: Platform): string {
    const { showPlatforms, targetPlatform } = this.#settings;
    const [own, target] = [formatPlatform(platform), formatPlatform(targetPlatform)];
    const cross = own === target ? '' : `->${target.replace(`${platform.os}/`, '')}`;
    const name = this.#dockerfile.stages.length === 1 ? '' : `${this.#name(index)} `;
    return showPlatforms ? `${own}${cross} ${name}` : name;
  }

  /** What a stage needs is planned at once; only then is it gone through. */
  async #walk(index: number, instructions: readonly Instruction[], start: StageStart, title: string): Promise<PlannedStage> {
    const operations = await this.#gather(index, instructions, start.platform);
    const walk = new StageWalk(
      {
        sources: operations,
        escapeToken: this.#dockerfile.directives.escape,
        platform: start.platform,
        network: this.#settings.network,
        hiddenEnvironment: [...this.#globals.proxies()].map(([key, value]) => `${key}=${value}`),
        epoch: start.epoch,
        cacheNamespace: this.#settings.buildArguments.get('BUILDKIT_CACHE_MOUNT_NS') ?? '',
        stage: this.#name(index),
        stageTitle: title,
        stepCount: stepCount(instructions),
      },
      start.scope,
      start.state,
      start.root,
    );
    for (const instruction of instructions) located(instruction, () => walk.apply(instruction));
    const { root, history, author, planned } = walk;
    const { from } = this.#stage(index);
    this.#steps.set(index, [{ text: from.line.text, place: from.place, operation: start.first }, ...planned]);
    const result = {
      root,
      config: start.state.config,
      author: author ?? start.author,
      platform: start.platform,
      epoch: start.epoch,
      base: start.base,
      history: [...start.history, ...history],
    };
    return { result, scope: start.scope };
  }

  async #gather(index: number, instructions: readonly Instruction[], platform: Platform): Promise<StageSources> {
    const found = new Map<string, Operation>();
    const wanted = instructions.flatMap((instruction) => sourceNames(instruction).map((source) => ({ instruction, ...source })));
    await Promise.all(
      wanted.map(async ({ instruction, name, kind, word }) => {
        try {
          found.set(`${kind} ${name}`, await this.#sourceOperation(name, kind, word, index, platform));
        } catch (thrown) {
          throw atInstruction(instruction, thrown);
        }
      }),
    );
    return {
      context: this.#context,
      operation(name, kind, word) {
        const operation = found.get(`${kind} ${name}`);
        if (operation === undefined) throw new InstructionProblem(`${name} was not looked for`, spot(word));
        return operation;
      },
    };
  }

  async #sourceOperation(name: string, kind: 'copy' | 'mount', word: Word, index: number, platform: Platform): Promise<Operation> {
    const stage = this.#stageNamed(name, kind, word, index);
    if (stage !== null) return (await this.stage(stage)).result.root;
    const context = this.#sources.namedContext(name);
    if (context?.kind === 'files') return context.operation;
    const reference = context?.reference ?? imageName(name, word);
    try {
      const image = await this.#sources.image(reference, platform, `FROM ${reference}`);
      return { kind: 'image', reference: image.reference, platform, layers: image.layers };
    } catch (thrown) {
      throw this.#withMeantStage(thrown, name, index);
    }
  }

  /** What is no stage is an image: a misspelt one would only be told as an image that nobody has. */
  #withMeantStage(thrown: unknown, name: string, index: number): unknown {
    const above = this.#dockerfile.stages.slice(0, index).flatMap((stage) => stage.name ?? []);
    const meant = /[/:@]/.test(name) ? null : nearest(name.toLowerCase(), above);
    if (meant === null || !(thrown instanceof EngineError)) return thrown;
    return new EngineError(thrown.code, `${thrown.message} (no stage is called ${name}: did you mean ${meant}?)`, { cause: thrown });
  }

  /** In any case; a number is a stage for COPY only. */
  #stageNamed(name: string, kind: 'copy' | 'mount', word: Word, index: number): number | null {
    const { stages } = this.#dockerfile;
    const isNumber = kind === 'copy' && /^\d+$/.test(name);
    const before = stages.findLastIndex((stage, at) => at < index && stage.name === name.toLowerCase());
    const found = isNumber ? Number(name) : before === -1 ? stages.findIndex((stage) => stage.name === name.toLowerCase()) : before;
    if (found === -1) return null;
    if (found >= stages.length)
      throw new InstructionProblem(`invalid stage index ${name}`, spot(word), `stages are 0 to ${stages.length - 1}`);
    const own = this.#name(index);
    if (found === index) throw new InstructionProblem(`circular dependency detected on stage: ${own}`, spot(word));
    if (found > index) {
      throw new InstructionProblem(
        `cannot copy from stage ${JSON.stringify(name)}, it needs to be defined before current stage ${JSON.stringify(own)}`,
        spot(word),
      );
    }
    return found;
  }

  /** A `--build-context` of its name takes the place of the stage. */
  #contextStage(index: number, context: ContextOperation, platform: Platform): PlannedStage {
    const { from, name } = this.#stage(index);
    const epoch = this.#settings.epoch ?? 0;
    const { scope, state } = onScratch(this.#globals, platform, epoch);
    const step = { title: `[${this.#title(index, platform)}1/1] FROM ${name}`, place: from.place };
    const root = filesAsTree(context, step, epoch);
    this.#steps.set(index, [{ text: from.line.text, place: from.place, operation: root }]);
    return { result: { root, config: state.config, author: null, platform, epoch, base: null, history: [] }, scope };
  }

  #name(index: number): string {
    return this.#stage(index).name ?? `stage-${index}`;
  }

  #stage(index: number): Stage {
    const stage = this.#dockerfile.stages[index];
    if (stage === undefined) throw invalid(`the Dockerfile has no stage ${index}`);
    return stage;
  }

  #platformOf({ from }: Stage): Platform {
    if (from.platform === null) return this.#settings.targetPlatform;
    const text = this.#expandGlobal(from.platform);
    if (text === '') throw new InstructionProblem(`empty platform value from expression ${from.platform.text}`, spot(from.platform));
    return parsePlatform(text);
  }

  #referenceOf({ from }: Stage): string {
    const text = this.#expandGlobal(from.image);
    if (text === '') throw new InstructionProblem(`base name (${from.image.text}) should not be blank`, spot(from.image));
    return text;
  }

  /** By its exact name, and above only. */
  #stageBelow(reference: string, index: number): number | null {
    const found = this.#dockerfile.stages.findLastIndex((stage, at) => at < index && stage.name === reference);
    return found === -1 ? null : found;
  }

  async #onImage(reference: string, platform: Platform, stage: Stage, title: string): Promise<StageStart> {
    const { epoch } = this.#settings;
    if (reference === 'scratch') return onScratch(this.#globals, platform, epoch ?? 0);
    const context = this.#sources.namedContext(reference);
    const step = (name: string) => ({ title: `[${title}1/${stepCount(stage.instructions)}] FROM ${name}`, place: stage.from.place });
    if (context?.kind === 'files') {
      const root = filesAsTree(context.operation, step(reference), epoch ?? 0);
      return { ...onScratch(this.#globals, platform, epoch ?? 0), root, first: root };
    }
    try {
      const name = context?.reference ?? imageName(reference, stage.from.image);
      return onBase(this.#globals, await this.#sources.image(name, platform, step(name).title), platform, epoch);
    } catch (thrown) {
      throw atInstruction(stage.from, thrown);
    }
  }
}

interface StageStart {
  readonly root: Operation;
  /** What FROM itself does; null: nothing. */
  readonly first: Operation | null;
  readonly scope: StageScope;
  readonly state: ConfigState;
  readonly author: string | null;
  readonly platform: Platform;
  readonly epoch: number;
  readonly base: BaseImage | null;
  readonly history: StageResult['history'];
  /** ONBUILD of the base. */
  readonly triggers: readonly string[];
}

function onScratch(globals: GlobalScope, platform: Platform, epoch: number): StageStart {
  const config = { Env: [searchPath], WorkingDir: '/' };
  return {
    root: { kind: 'scratch' },
    first: null,
    scope: StageScope.onImage(globals, environmentMap(config.Env)),
    state: { config, commandSet: false },
    author: null,
    platform,
    epoch,
    base: null,
    history: [],
    triggers: [],
  };
}

function onBase(globals: GlobalScope, base: BaseImage, platform: Platform, epoch: number | null): StageStart {
  const { OnBuild = [], ...own } = base.config.config;
  const Env = own.Env?.some((entry) => entry.startsWith('PATH=')) ? own.Env : [...(own.Env ?? []), searchPath];
  const root: Operation = { kind: 'image', reference: base.reference, platform, layers: base.layers };
  return {
    root,
    first: root,
    scope: StageScope.onImage(globals, environmentMap(Env)),
    state: { config: { ...own, Env }, commandSet: false },
    author: base.config.author ?? null,
    platform,
    epoch: epoch ?? secondsOf(base.config.created),
    base,
    history: [],
    triggers: OnBuild,
  };
}

function onStage({ result, scope }: PlannedStage, platform: Platform): StageStart {
  const { OnBuild = [], ...config } = result.config;
  return {
    root: result.root,
    first: null,
    scope: scope.child(),
    state: { config, commandSet: false },
    author: result.author,
    platform,
    epoch: result.epoch,
    base: result.base,
    history: result.history,
    triggers: OnBuild,
  };
}

/** A stage on a context has all of its files. */
function filesAsTree(context: ContextOperation, step: Step, epoch: number): CopyOperation {
  return {
    kind: 'copy',
    step,
    parent: { kind: 'scratch' },
    epoch,
    sources: [{ kind: 'path', from: context, pattern: '/', unpack: false }],
    destination: '/',
    owner: null,
    mode: null,
    excludes: [],
    parents: false,
    link: false,
  };
}

function stepCount(instructions: readonly Instruction[]): number {
  return 1 + instructions.filter(({ kind }) => stepKinds.includes(kind)).length;
}

/** Of an image that doesn't say when it was made, or says nonsense: 0. */
function secondsOf(created: string | undefined): number {
  const milliseconds = Date.parse(created ?? '');
  return Number.isFinite(milliseconds) ? Math.max(0, Math.floor(milliseconds / 1000)) : 0;
}

/** What it says is at the place of FROM, which brought it. */
function triggered(trigger: string, stage: Stage): readonly Instruction[] {
  const parsed = parseDockerfile(`FROM scratch\n${trigger}`).stages.flatMap(({ instructions }) => instructions);
  return parsed.map((instruction) => ({
    ...instruction,
    place: stage.from.place,
    line: { ...instruction.line, text: `ONBUILD ${instruction.line.text}` },
  }));
}

function sourceNames(instruction: Instruction): readonly { readonly name: string; readonly kind: 'copy' | 'mount'; readonly word: Word }[] {
  if (instruction.kind === 'copy') {
    const word = instruction.flags.word('from');
    if (word?.text.includes('$')) {
      throw atInstruction(
        instruction,
        new InstructionProblem(
          'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
          spot(word),
        ),
      );
    }
    return word === null ? [] : [{ name: word.text, kind: 'copy', word }];
  }
  if (instruction.kind !== 'run') return [];
  return instruction.flags
    .list('mount')
    .flatMap((word) =>
      mountSourceNames([word]).flatMap((name) => (name === '' || name.includes('$') ? [] : { name, kind: 'mount' as const, word })),
    );
}

function imageName(text: string, word: Word): string {
  try {
    return canonicalReference(withDefaultTag(parseReference(text)));
  } catch (cause) {
    throw new InstructionProblem(
      `failed to parse ${JSON.stringify(text)}: ${cause instanceof Error ? cause.message : String(cause)}`,
      spot(word),
    );
  }
}

function environmentMap(entries: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    entries.map((entry) => {
      const equals = entry.indexOf('=');
      return equals === -1 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

function targetIndex({ stages }: Dockerfile, target: string | null): number {
  if (target === null) return stages.length - 1;
  const index = stages.findLastIndex(({ name }) => name === target.toLowerCase());
  if (index !== -1) return index;
  const names = stages.flatMap(({ name }) => name ?? []);
  throw invalid(
    `target stage ${JSON.stringify(target)} could not be found${names.length === 0 ? ': no stage has a name' : `: there are ${names.join(', ')}`}`,
  );
}

function unusedArguments({ globals, stages }: Dockerfile, { buildArguments }: PlanSettings): readonly string[] {
  const instructions = [...globals, ...stages.flatMap((stage) => stage.instructions)];
  const declared = new Set(
    instructions.flatMap((instruction) => (instruction.kind === 'arg' ? instruction.arguments.map(({ name }) => name.text) : [])),
  );
  const proxy = /^(https?|ftp|no|all)_proxy$/i;
  return [...buildArguments.keys()].filter((name) => !declared.has(name) && !proxy.test(name) && !builtInArgument.test(name));
}
