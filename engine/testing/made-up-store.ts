import { pcg32 } from "#runtime/inference/sampler";
import type { StoreJob } from "../gradient-store/build.ts";
import type { Encoding } from "../gradient-store/layout.ts";
import type { Description, Profile } from "../gradient-store/manifest.ts";

export const adapterHash = `0x${"ab".repeat(32)}`;
export const methodHash = `0x${"ef".repeat(32)}`;
export const profile: Profile = {
  ...{ ortVersion: "1.30.0", provider: "cpu", cpuIsa: "x64+avx2" },
  graphHash: `0x${"01".repeat(32)}`,
  weightHashes: { "model.safetensors": `0x${"02".repeat(32)}` },
  sessionOptions: { executionProviders: ["cpu"], intraOpNumThreads: 1 },
};
const columns = [20, 7, 48];

export function description(encoding: Encoding, recordsPerShard = 4): Description {
  const blocks = columns.map((width, i) => ({ name: `layer${i}.a`, columns: width }));
  return {
    adapterHash,
    methodHash,
    profile,
    content: "gradients",
    layout: { encoding, blocks },
    recordsPerShard,
  };
}

/** The gradient of a record follows from its id, blocks of very different size. */
export function gradientOf(id: string): Float32Array[] {
  const next = pcg32(BigInt(id.slice(1)));
  return columns.map((width, block) =>
    Float32Array.from({ length: width }, () => (next() / 2 ** 31 - 1) * 10 ** (block * 2)),
  );
}

export const gradientsOf = async (wanted: readonly string[]) => wanted.map(gradientOf);

export const ids = (count: number) => Array.from({ length: count }, (_, i) => `r${i}`);

export function madeUpJob(folder: string, count: number, encoding: Encoding = "int8"): StoreJob {
  return { folder, description: description(encoding), recordIds: ids(count), gradientsOf };
}
