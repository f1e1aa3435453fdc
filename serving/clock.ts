import type { Config } from "./config.ts";

/** When answers are served, in unix seconds. `number` counts the node's answers from 1. */
export type Clock = { servedAt: (number: bigint) => bigint; now: () => bigint };

/** A fixed clock makes receipts, and with them roots, the same in every run; it only ever moves with the answers. */
export function createClock(setting: Config["clock"]): Clock {
  if (setting.kind === "system") return { servedAt: () => systemSeconds(), now: systemSeconds };
  return { servedAt: (number) => setting.baseSeconds + number, now: () => setting.baseSeconds };
}

function systemSeconds(): bigint {
  return BigInt(Math.floor(Date.now() / 1000));
}
