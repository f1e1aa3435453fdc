import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Step } from "./lifecycle.ts";

/** Time without a completed pass after which /health answers 503, in ms. Above the longest wait for a transaction. */
const silenceMsMax = 180_000;

/** What /metrics and /health tell about the loop. */
export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(nowMs: () => number) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: "settlement_" });
  const steps = new Counter({
    name: "settlement_steps_total",
    help: "Steps of epochs, by outcome.",
    labelNames: ["did"],
    registers,
  });
  const failures = new Counter({
    name: "settlement_failures_total",
    help: "Steps that failed and are tried again, by error code.",
    labelNames: ["code"],
    registers,
  });
  const epoch = new Gauge({ name: "settlement_epoch", help: "Epoch being worked on.", registers });
  let state = { passedMs: nowMs(), waitingFor: "" };
  return {
    registry,
    passed(step: Step) {
      steps.inc({ did: step.did });
      epoch.set(Number(step.epochId));
      state = { passedMs: nowMs(), waitingFor: step.did === "waiting" ? step.what : "" };
    },
    failed: (code: string) => failures.inc({ code }),
    health: () => ({ ok: nowMs() - state.passedMs < silenceMsMax, waitingFor: state.waitingFor }),
  };
}
