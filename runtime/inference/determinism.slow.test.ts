import { describe, it } from "vitest";
import { familyCases } from "#runtime/fixtures/golden-family";
import { expectSameBits, scoreSettings } from "#runtime/fixtures/printed-scores";

describe.each(familyCases)("from %s", (name) => {
  it.each(scoreSettings)(
    "the same bits come with 1 and 4 threads and batches of 1 to 8: $mode, adapters $isAdapted",
    (setting) => expectSameBits(name, setting),
  );
});
