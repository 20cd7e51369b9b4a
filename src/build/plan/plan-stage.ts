/**
 * One stage gone through from top to bottom: each instruction changes what later ones see (variables, config), and some add an operation on top of the last.
 * A stage knows of other stages only what `sources` hands it: their last operation.
 */
import { applyToConfig, type ConfigState, expandedPairs } from '../../dockerfile/apply-config.ts';
import { InstructionProblem } from '../../dockerfile/dockerfile-error.ts';
import { type ExpandOptions, expand } from '../../dockerfile/expand.ts';
import { exposedPorts } from '../../dockerfile/exposed-ports.ts';
import type { Instruction, InstructionKind } from '../../dockerfile/instruction.ts';
import type { StageScope } from '../../dockerfile/scope.ts';
import { spot, type Word } from '../../dockerfile/words.ts';
import type { ImageRunConfig } from '../../oci/image-config.ts';
import type { Platform } from '../../oci/platform.ts';
import type { HistoryEntry, PlannedStep } from './build-plan.ts';
import { commandHistory, healthcheckHistory, listHistory, pairsHistory, runHistory } from './history-text.ts';
import type { Operation, Step } from './operation.ts';
import { planCopy } from './plan-copy.ts';
import { runCommand, runDevices, runNetwork, runSecurity } from './plan-run.ts';
import { parseRunMount } from './run-mounts.ts';

export interface StageSources {
  /** Of `COPY --from` and of mounts; known by now. */
  operation(name: string, kind: 'copy' | 'mount', word: Word): Operation;
  readonly context: Operation;
}

export interface StageSetting {
  readonly sources: StageSources;
  readonly escapeToken: string;
  readonly platform: Platform;
  /** Of RUNs that don't say. */
  readonly network: 'default' | 'none' | 'host';
  readonly hiddenEnvironment: readonly string[];
  readonly cacheNamespace: string;
  /** Seconds since 1970. */
  readonly epoch: number;
  /** Its name, or `stage-N`. */
  readonly stage: string;
  /** In front of the number: `build `; empty with one stage only. */
  readonly stageTitle: string;
  readonly stepCount: number;
}

/** What makes an operation, and is counted as a step beside FROM. */
export const stepKinds: readonly InstructionKind[] = ['run', 'copy', 'add', 'workdir'];

const defaultShell = ['/bin/sh', '-c'];

export class StageWalk {
  readonly #setting: StageSetting;
  readonly #scope: StageScope;
  readonly #state: ConfigState;
  readonly #history: HistoryEntry[] = [];
  readonly #planned: PlannedStep[] = [];
  #root: Operation;
  #author: string | null = null;
  #steps = 1;

  constructor(setting: StageSetting, scope: StageScope, state: ConfigState, root: Operation) {
    this.#setting = setting;
    this.#scope = scope;
    this.#state = state;
    this.#root = root;
  }

  get root(): Operation {
    return this.#root;
  }

  get history(): readonly HistoryEntry[] {
    return this.#history;
  }

  get author(): string | null {
    return this.#author;
  }

  get planned(): readonly PlannedStep[] {
    return this.#planned;
  }

  apply(instruction: Instruction): void {
    const before = this.#root;
    this.#change(instruction);
    const operation = this.#root === before ? null : this.#root;
    this.#planned.push({ text: instruction.line.text, place: instruction.place, operation });
  }

  #change(instruction: Instruction): void {
    const options: ExpandOptions = { variables: this.#scope, escape: this.#setting.escapeToken };
    if (instruction.kind === 'arg') this.#arguments(instruction);
    else if (instruction.kind === 'run') this.#run(instruction, options);
    else if (instruction.kind === 'copy' || instruction.kind === 'add') this.#copy(instruction, options);
    else if (instruction.kind === 'maintainer') this.#maintainer(instruction.value);
    else if (instruction.kind === 'from')
      throw new InstructionProblem("FROM isn't allowed as an ONBUILD trigger", spot(instruction.keyword));
    else this.#configure(instruction, options);
  }

  #configure(instruction: Instruction, options: ExpandOptions): void {
    applyToConfig(instruction, this.#state, options);
    const text = configHistory(instruction, this.#state.config, options);
    // Last, and all expanded before the first is set: pairs of one line do not see each other.
    if (instruction.kind === 'env') {
      for (const [name, value] of expandedPairs(instruction.pairs, options)) this.#scope.setEnvironment(name, value);
    }
    if (text !== null) this.#tell(text);
    if (instruction.kind === 'workdir') this.#directory(instruction);
  }

  #maintainer({ text }: Word): void {
    this.#author = text;
    this.#tell(`MAINTAINER ${text}`);
  }

  #arguments({ arguments: declared }: Instruction & { readonly kind: 'arg' }): void {
    // Pairs of one line see each other, unlike those of ENV.
    for (const { name, value } of declared) {
      const byDefault = value && (() => expand(value.text, { variables: this.#scope, escape: this.#setting.escapeToken }));
      this.#scope.declareArgument(name.text, byDefault);
    }
    const values = this.#scope.declaredArguments;
    this.#tell(
      pairsHistory(
        'ARG',
        declared.map(({ name }) => [name.text, values.get(name.text) ?? null]),
      ),
    );
  }

  #run(instruction: Instruction & { readonly kind: 'run' }, options: ExpandOptions): void {
    const { config } = this.#state;
    const { argv, scripts } = runCommand(instruction, config.Shell ?? defaultShell);
    if (argv.length === 0 || argv.every((word) => word === '')) throw new InstructionProblem('RUN requires at least one argument');
    const declared = this.#scope.declaredArguments;
    const cwd = config.WorkingDir || '/';
    const { sources, platform, network, hiddenEnvironment, cacheNamespace } = this.#setting;
    const from = (name: string, word: Word) => sources.operation(name, 'mount', word);
    const mounts = instruction.flags
      .list('mount')
      .map((word, index) => parseRunMount(word, { from, context: sources.context }, { cwd, index, cacheNamespace }, options));
    const step = { ...this.#step(instruction), argumentNames: [...declared.keys()], shell: config.Shell ?? defaultShell };
    this.#root = {
      kind: 'run',
      step,
      parent: this.#root,
      epoch: this.#setting.epoch,
      argv,
      scripts,
      environment: runEnvironment(this.#scope),
      hiddenEnvironment: hiddenEnvironment.filter((entry) => !declared.has(entry.slice(0, entry.indexOf('=')))),
      cwd,
      user: config.User ?? '',
      platform,
      mounts,
      network: runNetwork(instruction) ?? network,
      security: runSecurity(instruction),
      devices: runDevices(instruction),
    };
    this.#tell(runHistory(argv, declared, this.#scope.environment), false);
  }

  #copy(instruction: Instruction & { readonly kind: 'copy' | 'add' }, options: ExpandOptions): void {
    const named = instruction.flags.word('from');
    const { sources } = this.#setting;
    const { operation, history } = planCopy(instruction, {
      step: this.#step(instruction),
      parent: this.#root,
      epoch: this.#setting.epoch,
      from: named === null ? sources.context : sources.operation(named.text, 'copy', named),
      cwd: this.#state.config.WorkingDir || '/',
      options,
    });
    this.#root = operation;
    this.#tell(history, false);
  }

  #directory(instruction: Instruction): void {
    const path = this.#state.config.WorkingDir ?? '/';
    const step = this.#step(instruction);
    const { epoch } = this.#setting;
    if (path !== '/') this.#root = { kind: 'directory', step, parent: this.#root, epoch, path, owner: this.#state.config.User ?? '' };
    this.#tell(`WORKDIR ${path}`, path === '/');
  }

  #step({ line, place }: Instruction): Step {
    this.#steps++;
    const { stage, stageTitle, stepCount } = this.#setting;
    return { title: `[${stageTitle}${this.#steps}/${stepCount}] ${line.text}`, place, stage };
  }

  #tell(createdBy: string, empty = true): void {
    this.#history.push({ createdBy, empty });
  }
}

/** The config has changed already: what it says is what the history says. Null: it leaves none, or one of its own. */
function configHistory(instruction: Instruction, config: ImageRunConfig, options: ExpandOptions): string | null {
  switch (instruction.kind) {
    case 'env':
      return pairsHistory('ENV', expandedPairs(instruction.pairs, options));
    case 'label':
      return pairsHistory('LABEL', expandedPairs(instruction.pairs, options));
    case 'cmd':
      return commandHistory('CMD', config.Cmd ?? []);
    case 'entrypoint':
      return commandHistory('ENTRYPOINT', config.Entrypoint ?? []);
    case 'shell':
      return listHistory('SHELL', instruction.words);
    case 'expose':
      return listHistory('EXPOSE', exposedPorts(instruction.ports, options));
    case 'volume': {
      const paths = instruction.paths.map(({ text }) => expand(text, options));
      return listHistory('VOLUME', paths);
    }
    case 'user':
      return `USER ${config.User}`;
    case 'stopsignal':
      return `STOPSIGNAL ${config.StopSignal}`;
    case 'healthcheck':
      return healthcheckHistory(instruction.check);
    default:
      return null;
  }
}

/** ENV, and ARGs that have a value; where both are, the later line counts. */
function runEnvironment(scope: StageScope): readonly string[] {
  const names = new Set([...scope.environment.keys(), ...scope.declaredArguments.keys()]);
  return [...names].flatMap((name) => {
    const value = scope.get(name);
    return value === undefined ? [] : `${name}=${value}`;
  });
}
