import { describe, expect, it } from "vitest";
import { createTurns } from "./turn.ts";

describe("turns", () => {
  it("runs tasks of one key in order, also after one fails, and other keys beside them", async () => {
    const turns = createTurns();
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = turns.take("a", async () => {
      await gate.promise;
      seen.push("a1");
    });
    const second = turns.take("a", async () => {
      seen.push("a2");
      throw new RangeError("the second's own");
    });
    const third = turns.take("a", async () => seen.push("a3"));
    await turns.take("b", async () => seen.push("b1"));
    gate.resolve();
    await expect(second).rejects.toThrow("the second's own");
    await Promise.all([first, third]);
    expect(seen).toEqual(["b1", "a1", "a2", "a3"]);
  });
});
