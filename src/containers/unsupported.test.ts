import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineError } from '../base/errors.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import { defaultContainerConfig, defaultHostConfig } from './config-defaults.ts';
import { refuseUnsupported, unsupportedFields } from './unsupported.ts';

/** A value that asks for something, by the name of the row's field. */
const asking: Readonly<Record<string, Partial<ContainerConfig> | Partial<HostConfig>>> = {
  'HostConfig.Cgroup': { Cgroup: 'container:x' },
  'HostConfig.StorageOpt': { StorageOpt: { size: '1G' } },
  'HostConfig.CpuCount': { CpuCount: 1 },
  'HostConfig.CpuPercent': { CpuPercent: 1 },
  'HostConfig.IOMaximumIOps': { IOMaximumIOps: 1 },
  'HostConfig.IOMaximumBandwidth': { IOMaximumBandwidth: 1 },
};

const nameOf = (field: string): string => field.split(' ')[0] ?? '';

test('refuseUnsupported: every row refuses by its name and nothing else does', () => {
  for (const { field } of unsupportedFields) {
    const values = asking[nameOf(field)];
    assert.ok(values, `no example for ${field}`);
    const isConfig = field.startsWith('Config.');
    const config = defaultContainerConfig(isConfig ? (values as Partial<ContainerConfig>) : {});
    const hostConfig = defaultHostConfig(isConfig ? {} : (values as Partial<HostConfig>));
    assert.throws(
      () => refuseUnsupported(config, hostConfig),
      (error) => error instanceof EngineError && error.code === 'not-implemented' && error.message.startsWith(field),
    );
  }
  assert.equal(unsupportedFields.length, Object.keys(asking).length);
});

test('refuseUnsupported: defaults, and what clients send without asking for anything', () => {
  refuseUnsupported(defaultContainerConfig(), defaultHostConfig());
  refuseUnsupported(
    defaultContainerConfig({ Volumes: { '/data': {} }, Healthcheck: { Test: ['NONE'] }, ExposedPorts: { '80/tcp': {} } }),
    defaultHostConfig({
      NetworkMode: 'default',
      RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
      LogConfig: { Type: 'json-file', Config: {} },
      Runtime: 'runc',
      UsernsMode: 'host',
      Init: false,
      StorageOpt: {},
      DeviceRequests: [],
      IpcMode: 'private',
    }),
  );
});
