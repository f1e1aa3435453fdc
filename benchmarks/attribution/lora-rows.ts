import { ldsDifference, pooledLds } from "#engine/faithfulness/lds-comparison";
import { type LoraJudgement, type Method, methods } from "#engine/faithfulness/lora";
import { alone, intervalText, type Row } from "../report.ts";

/** LDS of every method over the runs, within classes beside it where there are classes, and the two paired differences. */
export function loraRows(runs: readonly LoraJudgement[], isInClasses: boolean): Row[] {
  const judged = (method: Method) =>
    runs.map(({ scores, retrainings, classes }) => ({ scores: scores[method], retrainings, classes }));
  const lds = (method: Method, within: "all" | "class") => {
    const found = pooledLds(judged(method), within);
    const work = `${within === "all" ? "LDS" : "LDS within classes"}, ${method}`;
    return alone(`${work} ${intervalText(found)}`, "ρ", found.mean, { min: -1 });
  };
  const difference = (ours: Method, other: Method) => {
    const found = ldsDifference(judged(ours), judged(other));
    return alone(`${ours} − ${other} ${intervalText(found)}, lower bound`, "ρ", found.low, { min: 0 });
  };
  return [
    ...methods.map((method) => lds(method, "all")),
    ...(isInClasses ? methods.map((method) => lds(method, "class")) : []),
    difference("eFIM-dual", "DataInf"),
    difference("eFIM-dual", "TF-IDF"),
    difference("hybrid", "TF-IDF"),
    alone(
      "agreement of two orders of training, least of the seeds",
      "ρ",
      Math.min(...runs.map((run) => run.orderAgreement)),
      { min: 0 },
    ),
    alone(
      `loss of a query before (${runs.map((run) => run.lossBefore.toFixed(2)).join("/")}) and after training`,
      "nats",
      Math.max(...runs.map((run) => run.lossAfter)),
      { max: Math.min(...runs.map((run) => run.lossBefore)) },
    ),
  ];
}
