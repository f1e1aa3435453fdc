import { parseArgs } from "node:util";
import { readConfig } from "./config.ts";
import { queryApi } from "./trace/api-client.ts";
import { answerLines, claimLines } from "./trace/print.ts";
import { type TraceResult, traceQuery } from "./trace/query.ts";

const help = `npm run tributary -- trace <claim transaction or receipt digest> [options]
  Prints every hop with its hash: payout, leaf, epoch, receipt, chunk, contribution, contributor. Read from the API;
  nothing is recomputed: for that, verify.
  --api <url>        GraphQL endpoint (default: the local API)
  --entries <count>  entries of a payout to print, at most 100 (20)
  --json             what the API answered, as one line
  Exit code: 0 found, 1 nothing by this hash or no answer.`;

/** Entries of a payout printed where nothing is said. */
const entriesDefault = 20;

/** @returns 0 found, 1 nothing by this hash. @throws ApiUnreachableError, ApiRefusedError */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [hash] = positionals;
  if (values.help || hash === undefined || !/^0x[0-9a-fA-F]{64}$/.test(hash)) {
    console.log(help);
    return values.help ? 0 : 1;
  }
  const url = values.api ?? `http://127.0.0.1:${readConfig().ports.api}/graphql`;
  const entries = Number(values.entries ?? entriesDefault);
  const found = await queryApi<TraceResult>(url, traceQuery, { hash, entries });
  if (values.json) console.log(JSON.stringify(found));
  else for (const line of linesOf(found)) console.log(line);
  if (found.receipt !== null || found.claims.nodes.length > 0) return 0;
  console.error(
    `Neither a claim nor a receipt is known by ${hash}. Young ones appear once they are indexed.`,
  );
  return 1;
}

const options = {
  api: { type: "string" },
  entries: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

function linesOf({ claims, receipt }: TraceResult): string[] {
  return [...claims.nodes.flatMap(claimLines), ...(receipt === null ? [] : answerLines(receipt))];
}
