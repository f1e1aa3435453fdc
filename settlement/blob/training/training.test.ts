import fc from "fast-check";
import { bytesToHex, type Hex, keccak256, toHex } from "viem";
import { describe, expect, it } from "vitest";
import * as payload from "../payload.ts";
import { examplesOf, examplesPerRecordMax } from "./examples.ts";
import * as manifest from "./manifest.ts";
import { draw, type SnapshotRow } from "./rows.ts";
import * as settings from "./settings.ts";

const h = (seed: string): Hex => keccak256(toHex(seed));
const given: settings.Settings = {
  version: 2,
  name: "harbour",
  rank: 8,
  alpha: 16,
  isRankStabilized: false,
  targetModules: ["q_proj", "v_proj"],
  schedule: { kind: "cosine", peak: 0.005, warmupSteps: 2, stepsMax: 30 },
  gradientNormMax: 1,
  rowTokens: 256,
  rowCount: 4,
  runsPerStep: 1,
  seed: 7,
  waypoints: 0,
  template: "quote-closed-book-1",
  trainRecordsMax: 64,
  gateRecords: 2,
  damping: 0.1,
};
const trained: manifest.Manifest = {
  baseModelId: h("base"),
  baseArtifactHash: h("artifact"),
  adapterHash: h("adapter"),
  snapshotBlock: 90n,
  snapshotBlockHash: h("block"),
  datanetIds: [1n, 3n],
  settings: settings.encode(given),
  trainRows: [h("a"), h("b")],
  gateRows: [h("c")],
  files: manifest.fileNames.map((name) => ({ name, content: "0x0102" as Hex })),
  waypoints: [],
};

describe("a training manifest", () => {
  it("comes back equal", () => {
    expect(manifest.decode(manifest.encode(trained))).toEqual({ ok: true, value: trained });
    const without = { ...trained, files: [] };
    expect(manifest.decode(manifest.encode(without))).toEqual({ ok: true, value: without });
  });

  it.each<[string, Partial<manifest.Manifest>, RegExp]>([
    ["nothing learned", { trainRows: [] }, /0 rows/],
    ["nothing held out", { gateRows: [] }, /0 rows held out/],
    ["a row twice", { trainRows: [h("a"), h("a")] }, /twice/],
    ["a row that is also held out", { gateRows: [h("a")] }, /twice/],
    ["no Datanet", { datanetIds: [] }, /0 Datanets/],
    ["Datanets out of order", { datanetIds: [3n, 1n] }, /not ascending/],
    ["a Datanet twice", { datanetIds: [1n, 1n] }, /not ascending/],
    ["another file", { files: [{ name: "../adapter_config.json", content: "0x" }] }, /files are/],
    ["settings that are no JSON", { settings: "{" }, /no JSON/],
    ["settings with spaces", { settings: JSON.stringify(given, null, 1) }, /canonical/],
    ["a damping of its own", { settings: settings.encode(given).replace("0.1", "0.2") }, /damping/],
    [
      "more rows than there may be",
      { trainRows: Array.from({ length: 30_001 }, (_, i) => h(`${i}`)) },
      /30001/,
    ],
  ])("is refused with %s", (_, change, reason) => {
    const decoded = manifest.decode(manifest.encode({ ...trained, ...change }));
    expect(decoded).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });

  const kept = {
    step: 15,
    adapterHash: h("early"),
    optimizerHash: h("o"),
    weights: "0x01",
    optimizer: "0x02",
  };
  const last = { ...kept, step: 30, adapterHash: h("adapter"), weights: "0x" };
  const withWaypoints = { settings: settings.encode({ ...given, waypoints: 2 }) };

  it.each([
    ["with their files", [kept, last]],
    ["by their hashes alone", [kept, last].map((one) => ({ ...one, weights: "0x", optimizer: "0x" }))],
  ])("comes back equal with states on the way, %s", (_, waypoints) => {
    const whole = { ...trained, ...withWaypoints, waypoints } as manifest.Manifest;
    expect(manifest.decode(manifest.encode(whole))).toEqual({ ok: true, value: whole });
  });

  it.each<[string, unknown[], RegExp, Partial<manifest.Manifest>?]>([
    ["fewer states than its settings say", [last], /the settings say 15,30/],
    [
      "states that its settings do not say",
      [kept, last],
      /the settings say $/,
      { settings: trained.settings },
    ],
    ["states at other steps", [{ ...kept, step: 14 }, last], /after steps 14,30/],
    ["another adapter at the end", [kept, { ...last, adapterHash: h("x") }], /is not the adapter/],
    ["weights that are missing", [{ ...kept, weights: "0x" }, last], /have all of their files/],
    ["weights of the adapter again", [kept, { ...last, weights: "0x01" }], /have all of their files/],
    ["an optimizer that is missing", [{ ...kept, optimizer: "0x" }, last], /have all of their files/],
    ["states alone", [kept, last], /own files are not there/, { files: [] }],
  ])("is refused with %s", (_, waypoints, reason, change = {}) => {
    const given = { ...trained, ...withWaypoints, ...change, waypoints } as manifest.Manifest;
    const decoded = manifest.decode(manifest.encode(given));
    expect(decoded).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });

  it("keeps states after equal parts of the steps, the last at the end, and no more than there are", () => {
    const of = (waypoints: number, stepsMax: number): settings.Settings => {
      return { ...given, waypoints, schedule: { ...given.schedule, stepsMax } };
    };
    expect(settings.waypointSteps(of(4, 30))).toEqual([7, 15, 22, 30]);
    expect(settings.waypointSteps(of(3, 3))).toEqual([1, 2, 3]);
    expect(settings.waypointSteps(of(0, 3))).toEqual([]);
    expect(() => settings.encode(of(4, 3))).toThrow(/no more waypoints than steps/);
  });

  it("is refused as another kind of payload, and wherever a byte is missing", () => {
    const bytes = manifest.encode(trained);
    expect(payload.open(bytes)).toMatchObject({ ok: true, value: { kind: 4, version: 2 } });
    for (let length = 0; length < bytes.length; length += 13)
      expect(manifest.decode(bytes.subarray(0, length)).ok).toBe(false);
  });

  it("never throws for bytes of a stranger, and has one encoding of what it takes", () => {
    const bytes = manifest.encode(trained);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (position, change) => {
        const changed = Uint8Array.from(bytes);
        changed[position]! ^= change;
        const decoded = manifest.decode(changed);
        if (decoded.ok) expect(bytesToHex(manifest.encode(decoded.value))).toBe(bytesToHex(changed));
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => !manifest.decode(noise).ok));
  });
});

describe("the draw of rows", () => {
  const records = fc
    .uniqueArray(fc.nat(), { minLength: 1, maxLength: 40 })
    .map((seeds): SnapshotRow[] =>
      seeds.map((seed) => ({ chunkId: h(`${seed}`), firstChunkId: h(`${seed}`) })),
    );
  const counts = fc.record({
    gateRecords: fc.integer({ min: 1, max: 8 }),
    trainRecordsMax: fc.integer({ min: 1, max: 50 }),
  });

  it("holds out first, learns the rest in the order of their contributions, and never both", () => {
    fc.assert(
      fc.property(records, counts, (of, count) => {
        const rows = draw(of, h("block"), count);
        if (of.length <= count.gateRecords) {
          expect(rows).toBeNull();
          return;
        }
        expect(rows!.gate).toHaveLength(count.gateRecords);
        expect(rows!.train).toHaveLength(Math.min(count.trainRecordsMax, of.length - count.gateRecords));
        const order = of.map(({ chunkId }) => chunkId);
        const positions = rows!.train.map((id) => order.indexOf(id));
        expect(positions).toEqual([...positions].sort((a, b) => a - b));
        expect(new Set([...rows!.train, ...rows!.gate]).size).toBe(rows!.train.length + rows!.gate.length);
      }),
    );
  });

  it("learns one record of a class of duplicates", () => {
    const of: SnapshotRow[] = [
      { chunkId: h("a"), firstChunkId: h("a") },
      { chunkId: h("copy"), firstChunkId: h("a") },
      { chunkId: h("b"), firstChunkId: h("b") },
    ];
    const rows = draw(of, h("block"), { gateRecords: 1, trainRecordsMax: 9 })!;
    expect([...rows.train, ...rows.gate].sort()).toEqual([h("a"), h("b")].sort());
  });

  it("holds out others where the block is another", () => {
    const of = Array.from(
      { length: 30 },
      (_, i): SnapshotRow => ({ chunkId: h(`${i}`), firstChunkId: h(`${i}`) }),
    );
    const gates = ["one", "two", "three"].map((block) =>
      draw(of, h(block), { gateRecords: 3, trainRecordsMax: 30 })!.gate.join(),
    );
    expect(new Set(gates).size).toBe(3);
  });
});

describe("examples of a record", () => {
  it("ask for each sentence from every sixth word on", () => {
    const text = "One two three four five six seven eight nine ten eleven. Short one here. It is so.";
    expect(examplesOf({ source: "a.md", text })).toEqual([
      { question: "What does a.md say about One two three four?", answer: text.slice(0, 56) },
      { question: "What does a.md say about seven eight nine ten?", answer: "seven eight nine ten eleven." },
    ]);
  });

  it("ask for a record without a long sentence as a whole", () => {
    expect(examplesOf({ source: "a.md", text: "Too short." })).toEqual([
      { question: "What does a.md say?", answer: "Too short." },
    ]);
  });

  it("are some, bounded, quotes of the record, whatever it says", () => {
    const word = fc.string({ minLength: 1, maxLength: 8 }).map((text) => text.replace(/\s/gu, "_"));
    fc.assert(
      fc.property(
        fc.string({ maxLength: 300 }),
        fc.array(word, { minLength: 1, maxLength: 140 }),
        (source, words) => {
          const text = words.join(" ");
          const found = examplesOf({ source, text });
          expect(found.length).toBeGreaterThanOrEqual(1);
          expect(found.length).toBeLessThanOrEqual(examplesPerRecordMax);
          for (const { answer } of found) expect(text).toContain(answer);
        },
      ),
    );
  });
});
