/** What the builder wants of processes, by the containers' part of the engine, which runs them. */
import { type StepExecutor, StepStartError } from '../../build/run/step-executor.ts';
import type { StepRunner } from '../../containers/steps/step.ts';
import { StartError } from '../../runtime/runtime.ts';
import { whyNotPlatform } from './foreign-platforms.ts';

export function createStepExecutor(steps: StepRunner): StepExecutor {
  return {
    whyNot: (platform) => whyNotPlatform(platform),
    async run(request, output, signal) {
      try {
        return await steps.run(request, output, signal);
      } catch (error) {
        throw error instanceof StartError ? new StepStartError(reasonOf(error.message), error.exitCode, error) : error;
      }
    },
  };
}

/** Without the words that Docker's clients look for around it. */
function reasonOf(message: string): string {
  return message.replace(/^.*?unable to start container process: /s, '').replace(/: unknown$/, '');
}
