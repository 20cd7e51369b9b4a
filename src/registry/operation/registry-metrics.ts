/** What `/metrics` tells. */
import type { ObservedRequest } from '../http/registry-handler.ts';
import type { RegistryStats } from '../registry.ts';
import { Counter, Histogram } from './metrics.ts';

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);

export class RegistryMetrics {
  readonly requests = new Counter('gantry_registry_requests_total', 'Requests below /v2, by method, route and status.');
  readonly seconds = new Histogram(
    'gantry_registry_request_duration_seconds',
    'Time from the head of a request to the end of its answer.',
    [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600],
  );
  readonly inFlight = new Counter('gantry_registry_requests_in_flight', 'Requests that are being served.', 'gauge');
  readonly bytes = new Counter('gantry_registry_bytes_total', 'Bytes of bodies on the wire, by direction.');
  readonly decisions = new Counter('gantry_registry_access_decisions_total', 'Decisions of access control, by outcome.');
  readonly tokens = new Counter('gantry_registry_tokens_total', 'Requests for tokens, by outcome.');
  readonly limited = new Counter('gantry_registry_limited_total', 'Requests that were answered 429, by limit.');
  readonly events = new Counter('gantry_registry_events_total', 'Changes, by action.');
  readonly webhooks = new Counter('gantry_registry_webhook_deliveries_total', 'Deliveries to webhooks, by webhook and outcome.');
  readonly collections = new Counter('gantry_registry_gc_runs_total', 'Runs of garbage collection, by outcome.');
  readonly reclaimed = new Counter('gantry_registry_gc_reclaimed_bytes_total', 'Bytes that garbage collection gave back.');
  readonly expired = new Counter('gantry_registry_retention_removed_total', 'What retention rules took, by kind.');

  observe({ method, route, status, requestBytes, responseBytes, durationMs }: ObservedRequest): void {
    const labels = { method: methods.has(method) ? method : 'other', route };
    this.requests.add({ ...labels, status: String(status) });
    this.seconds.observe(labels, durationMs / 1000);
    this.bytes.add({ direction: 'in' }, requestBytes);
    this.bytes.add({ direction: 'out' }, responseBytes);
  }

  text(stats: RegistryStats, webhooksWaiting: ReadonlyMap<string, number>): string {
    const counters = Object.values(this).filter((metric) => metric instanceof Counter || metric instanceof Histogram);
    return [...counters, ...gaugesOf(stats, webhooksWaiting)].map((metric) => metric.text()).join('');
  }
}

function gaugesOf(stats: RegistryStats, webhooksWaiting: ReadonlyMap<string, number>): readonly Counter[] {
  const gauge = (name: string, help: string, value: number): Counter => {
    const made = new Counter(name, help, 'gauge');
    made.set({}, value);
    return made;
  };
  const waiting = new Counter('gantry_registry_webhook_queue', 'Events that wait for a webhook.', 'gauge');
  for (const [webhook, count] of webhooksWaiting) waiting.set({ webhook }, count);
  return [
    gauge('gantry_registry_repositories', 'Repositories.', stats.repositories),
    gauge('gantry_registry_manifests', 'Manifests.', stats.manifests),
    gauge('gantry_registry_blobs', 'Blobs, each once.', stats.blobs),
    gauge('gantry_registry_blob_bytes', 'Bytes of blobs, each once.', stats.blobBytes),
    gauge('gantry_registry_open_uploads', 'Uploads that have begun and not ended.', stats.openUploads),
    waiting,
    gauge('process_resident_memory_bytes', 'Memory of the process.', process.memoryUsage.rss()),
    gauge('process_uptime_seconds', 'Since the process started.', Math.round(process.uptime())),
  ];
}
