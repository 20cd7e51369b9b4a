/** Single instructions, and several of a stage that undo each other. */
import { allInstructions, type CheckContext, type Finding, finding, ofStage, type Rule } from './check.ts';
import type { StageView } from './stage-views.ts';

export const instructionRules: readonly Rule[] = [
  { name: 'NoEmptyContinuation', description: 'No empty lines inside an instruction', look: emptyContinuations },
  { name: 'JSONArgsRecommended', description: 'CMD and ENTRYPOINT in JSON form get signals themselves', look: shellForms },
  { name: 'MaintainerDeprecated', description: 'A label says who maintains an image', look: maintainers },
  { name: 'WorkdirRelativePath', description: 'A relative WORKDIR depends on the base image', look: relativeWorkdirs },
  {
    name: 'MultipleInstructionsDisallowed',
    description: 'Only the last CMD, ENTRYPOINT and HEALTHCHECK of a stage counts',
    look: repeated,
  },
  { name: 'LegacyKeyValueFormat', description: 'ENV and LABEL with =', look: legacyPairs },
  { name: 'ExposeInvalidFormat', description: 'EXPOSE names ports of the container only', look: hostPorts },
];

function* emptyContinuations({ dockerfile }: CheckContext): Generator<Finding> {
  for (const instruction of allInstructions(dockerfile)) {
    const [line] = instruction.line.emptyLines;
    if (line !== undefined) yield finding(instruction, 'Empty continuation line', { startLine: line, endLine: line });
  }
}

/** A stage that sets a SHELL wants it used. */
function* shellForms({ stages }: CheckContext): Generator<Finding> {
  for (const view of stages) {
    let shell = setsShell(view.base);
    for (const instruction of view.stage.instructions) {
      if (instruction.kind === 'shell') shell = true;
      if (shell || (instruction.kind !== 'cmd' && instruction.kind !== 'entrypoint') || instruction.command.form !== 'shell') continue;
      yield finding(
        instruction,
        `JSON arguments recommended for ${instruction.kind.toUpperCase()} to prevent unintended behavior related to OS signals`,
      );
    }
  }
}

function setsShell(view: StageView | null): boolean {
  return view !== null && (view.stage.instructions.some(({ kind }) => kind === 'shell') || setsShell(view.base));
}

function* maintainers({ dockerfile }: CheckContext): Generator<Finding> {
  for (const instruction of allInstructions(dockerfile)) {
    if (instruction.kind === 'maintainer') yield finding(instruction, 'Maintainer instruction is deprecated in favor of using label');
  }
}

function* relativeWorkdirs({ stages }: CheckContext): Generator<Finding> {
  for (const view of stages) {
    if (setsWorkdir(view.base)) continue;
    const first = view.stage.instructions.find(({ kind }) => kind === 'workdir');
    if (first?.kind !== 'workdir' || /^[/$]/.test(first.value.text)) continue;
    yield finding(first, `Relative workdir ${JSON.stringify(first.value.text)} can have unexpected results if the base image changes`);
  }
}

function setsWorkdir(view: StageView | null): boolean {
  return view !== null && (view.stage.instructions.some(({ kind }) => kind === 'workdir') || setsWorkdir(view.base));
}

function* repeated({ dockerfile }: CheckContext): Generator<Finding> {
  for (const stage of dockerfile.stages) {
    for (const kind of ['cmd', 'entrypoint', 'healthcheck'] as const) {
      const same = stage.instructions.filter((instruction) => instruction.kind === kind);
      for (const instruction of same.slice(0, -1)) {
        yield finding(
          instruction,
          `Multiple ${kind.toUpperCase()} instructions should not be used in the same stage because only the last one will be used`,
        );
      }
    }
  }
}

function* legacyPairs({ dockerfile }: CheckContext): Generator<Finding> {
  for (const instruction of allInstructions(dockerfile)) {
    if ((instruction.kind !== 'env' && instruction.kind !== 'label') || !instruction.legacy) continue;
    const name = instruction.kind.toUpperCase();
    yield finding(instruction, `"${name} key=value" should be used instead of legacy "${name} key value" format`);
  }
}

function* hostPorts({ dockerfile }: CheckContext): Generator<Finding> {
  for (const instruction of dockerfile.stages.flatMap((stage) => [...ofStage(stage)])) {
    if (instruction.kind !== 'expose') continue;
    for (const { text } of instruction.ports.filter((port) => !port.text.includes('$') && port.text.includes(':'))) {
      yield finding(instruction, `EXPOSE instruction should not define an IP address or host-port mapping, found '${text}'`);
    }
  }
}
