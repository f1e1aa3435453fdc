import { expect, it } from "vitest";
import { readConfig } from "./config.ts";
import { stageServices } from "./up/services.ts";
import type { Stack } from "./up/stack.ts";

it("passes on to the engine how it measures, where that is set, and to nobody else", () => {
  const stack = { ports: {}, pace: {}, folder: "", databaseUrl: "", rpcUrl: "" } as Stack;
  const settings = (env: NodeJS.ProcessEnv) =>
    stageServices({ ...stack, config: readConfig(env) }).map(({ name, env: given }) => [
      name,
      Object.keys(given ?? {}).filter((key) => key in measuring),
    ]);
  const measuring = { ESTIMATOR: "surrogate", INFLUENCE_METHOD: "hybrid", ENGINE_DEVICE: "webgpu" };
  expect(Object.fromEntries(settings(measuring)).engine).toEqual(Object.keys(measuring));
  expect(settings(measuring).filter(([name, keys]) => name !== "engine" && keys!.length > 0)).toEqual([]);
  expect(Object.fromEntries(settings({})).engine).toEqual([]);
});
