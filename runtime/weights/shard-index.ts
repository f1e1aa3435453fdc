import { excerpt } from "#runtime/errors";

/** Most files one model may be spread over; the largest published models have a few hundred. */
export const shardCountMax = 2048;

const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.safetensors$/;

export type DecodedIndex =
  | {
      readonly ok: true;
      /** Shard file names, sorted. */
      readonly files: readonly string[];
      /** Shard file of each tensor. */
      readonly fileOf: ReadonlyMap<string, string>;
    }
  | { readonly ok: false; readonly reason: string };

/** Read a parsed model.safetensors.index.json: `{"weight_map": {tensor: file}}`. Other keys are ignored. Pure. */
export function decodeShardIndex(json: unknown): DecodedIndex {
  const map = isRecord(json) ? json.weight_map : undefined;
  if (!isRecord(map)) return { ok: false, reason: "weight_map is not an object" };
  const fileOf = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string" || !plainName.test(file)) {
      return {
        ok: false,
        reason: `tensor ${excerpt(tensor)} is in ${excerpt(file)}, not a .safetensors file name`,
      };
    }
    fileOf.set(tensor, file);
  }
  const files = [...new Set(fileOf.values())].toSorted();
  if (files.length === 0) return { ok: false, reason: "weight_map names no tensor" };
  if (files.length > shardCountMax) return { ok: false, reason: `more than ${shardCountMax} shards` };
  return { ok: true, files, fileOf };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
