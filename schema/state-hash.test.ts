import { expect, it } from "vitest";
import { staleColumns } from "./state-hash.ts";

it("leaves no column out by a name that is no longer any table's", () => {
  expect(staleColumns()).toEqual([]);
});
