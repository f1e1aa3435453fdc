import { it } from "vitest";
import { startTestDisperser } from "../testing/disperser.ts";
import { expectMutationsRefused } from "../testing/mutated-frames.ts";

it("refuses requests, replies, certificates and blobs with a byte changed, and crashes on none", async () => {
  await using setup = await startTestDisperser();
  await expectMutationsRefused(setup, 13, 1);
});
