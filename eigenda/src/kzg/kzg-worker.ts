/** The thread behind committer.ts. It imports the kernel and little else, so that it starts fast. */
import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../errors.ts";
import { CurveKernel } from "../kernel/curve-kernel.ts";
import { Kernel } from "../kernel/kernel.ts";
import { PointList } from "../kernel/msm.ts";
import { derivePowerLists, type Groups, type PowerSource } from "./power-lists.ts";
import type { SrsPoints } from "./srs.ts";

export type ListName = keyof SrsPoints;

/** What the thread can be asked to do; it answers with bytes. */
export type KzgJob =
  | { kind: "derive"; source: PowerSource; symbolsMax: number; groups: Groups }
  /** Compressed points to affine ones. */
  | { kind: "decompress"; group: "g1" | "g2"; bytes: Uint8Array }
  /** Σ scalars_i · points_(offset+i), affine. */
  | { kind: "msm"; list: ListName; scalars: Uint8Array; offset: number };

export type KzgRequest = { id: number; job: KzgJob };
export type KzgReply = { id: number } & ({ ok: true; bytes: Uint8Array } | { ok: false; message: string });

const port = parentPort;
if (port !== null) {
  const kernel = new Kernel();
  const lists = pointLists(kernel, workerData as Partial<SrsPoints>);
  const run = async (job: KzgJob): Promise<Uint8Array> => {
    if (job.kind === "decompress") {
      // Loaded when it is needed: most threads never do this, and would start slower.
      const { decompressList } = await import("./decompress-list.ts");
      return decompressList(kernel, job.group, job.bytes);
    }
    if (job.kind === "derive") return derivePowerLists(kernel, job.source, job.symbolsMax, job.groups);
    const list = lists[job.list];
    invariant(list !== undefined, "the thread has the list");
    return list.msm(job.scalars, job.offset);
  };
  port.on("message", async ({ id, job }: KzgRequest) => port.postMessage(await reply(id, () => run(job))));
}

function pointLists(kernel: Kernel, points: Partial<SrsPoints>): { [Name in ListName]?: PointList } {
  const [g1, g2] = [new CurveKernel(kernel, kernel.fp), new CurveKernel(kernel, kernel.fp2)];
  return {
    ...(points.g1 && { g1: new PointList(g1, points.g1) }),
    ...(points.g2 && { g2: new PointList(g2, points.g2) }),
    ...(points.g2Trailing && { g2Trailing: new PointList(g2, points.g2Trailing) }),
  };
}

async function reply(id: number, run: () => Promise<Uint8Array>): Promise<KzgReply> {
  try {
    return { id, ok: true, bytes: await run() };
  } catch (error) {
    return {
      id,
      ok: false,
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
}
