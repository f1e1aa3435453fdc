import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type Metrics = ReturnType<typeof createMetrics>;

/** The engine's metrics, `tributary_engine_*`. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: "tributary_engine_" });
  return {
    registry,
    events: new Counter({ name: "tributary_engine_events_total", help: "Final events consumed.", registers }),
    finalBlock: new Gauge({
      name: "tributary_engine_final_block",
      help: "Final block at the last event.",
      registers,
    }),
    intakeFailures: new Counter({
      name: "tributary_engine_intake_failures_total",
      help: "Failures of database or chain that were tried again.",
      registers,
    }),
    jobs: new Counter({
      name: "tributary_engine_jobs_total",
      help: "Jobs by queue and result.",
      labelNames: ["queue", "result"],
      registers,
    }),
    blobsServed: new Counter({
      name: "tributary_engine_blobs_served_total",
      help: "Blobs read, by who served them: a relay, or the archive.",
      labelNames: ["source"],
      registers,
    }),
    archiveMissing: new Gauge({
      name: "tributary_engine_archive_missing",
      help: "Certificates on chain whose blob could not be archived at the last look.",
      registers,
    }),
    archiveUnpaid: new Gauge({
      name: "tributary_engine_archive_unpaid",
      help: "Trainings of models nobody paid for yet that the archive does not take until somebody does.",
      registers,
    }),
    /** What the last sweep of the archive found; `alarms` and `lost` call for a person. */
    archive: (name: string, help: string) => {
      const full = `tributary_engine_archive_${name}`;
      return (
        (registry.getSingleMetric(full) as Gauge | undefined) ?? new Gauge({ name: full, help, registers })
      );
    },
    queued: new Gauge({
      name: "tributary_engine_queued_jobs",
      help: "Jobs of all engines on this queue that wait or are in hand.",
      labelNames: ["queue", "state"],
      registers,
    }),
    deadLetters: new Gauge({
      name: "tributary_engine_dead_letters",
      help: "Jobs that failed on their last try: engine.dead_letter says why.",
      registers,
    }),
    jobSeconds: new Histogram({
      name: "tributary_engine_job_seconds",
      help: "Time of a job by queue.",
      labelNames: ["queue"],
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
  };
}
