/** What the builder wants of processes, by the containers' part of the engine, which runs them. */
import type { GpuRequest } from '../../build/build-request.ts';
import { type StepExecutor, StepStartError } from '../../build/run/step-executor.ts';
import type { StepRunner } from '../../containers/steps/step.ts';
import type { DeviceRequest } from '../../devices/device-request.ts';
import { StartError } from '../../runtime/runtime.ts';
import { whyNotPlatform } from './foreign-platforms.ts';

export function createStepExecutor(steps: StepRunner): StepExecutor {
  return {
    whyNot: (platform) => whyNotPlatform(platform),
    findDevices: (wanted) => steps.findDevices(wanted),
    async run(request, output, signal) {
      const { settings } = request;
      try {
        return await steps.run({ ...request, settings: { ...settings, deviceRequests: settings.gpus.map(deviceRequest) } }, output, signal);
      } catch (error) {
        throw error instanceof StartError ? new StepStartError(reasonOf(error.message), error.exitCode, error) : error;
      }
    },
  };
}

/** In the words of the API. */
function deviceRequest({ driver, count, ids, capabilities, options }: GpuRequest): DeviceRequest {
  return {
    Driver: driver,
    Count: count,
    DeviceIDs: ids.length === 0 ? null : ids,
    Capabilities: capabilities,
    Options: Object.fromEntries(options),
  };
}

/** Without the words that Docker's clients look for around it. */
function reasonOf(message: string): string {
  return message.replace(/^.*?unable to start container process: /s, '').replace(/: unknown$/, '');
}
