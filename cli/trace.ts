import { parseArgs } from "node:util";
import { addressFrom, countFrom, hashFrom, urlFrom } from "./arguments.ts";
import { readRunningConfig } from "./running.ts";
import { answerLines, claimLines, payoutLines } from "./trace/print.ts";
import { readTrace, type Trace } from "./trace/read.ts";

const help = `npm run tributary -- trace <claim transaction or receipt digest> [options]
  Prints every hop with its hash: payout, leaf, epoch, receipt, chunk, contribution, contributor. Of a transaction that
  pays several accounts, a list of all and the hops of the largest. Read from the API; nothing is recomputed: for that,
  verify.
  --account <address>  the payout to tell, instead of the largest
  --entries <count>    entries of it to print (20)
  --all                every entry
  --api <url>          GraphQL endpoint (default: the local API)
  --json               what the API answered, as one line
  Exit code: 0 found, 1 nothing by this hash, 2 cannot tell (and why).`;

/** Entries printed where nothing is said. */
const entriesDefault = 20;

/** @returns 0 found, 1 nothing by this hash. @throws UsageError, ApiUnreachableError, ApiRefusedError, NotPaidError */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const hash = hashFrom(positionals[0], "a claim transaction (bot prints them) or a receipt digest");
  const account = values.account === undefined ? null : addressFrom(values.account);
  const given = values.entries === undefined ? entriesDefault : countFrom(values.entries, "entries");
  const entriesMax = values.all ? Number.POSITIVE_INFINITY : given;
  const { api } = values;
  const url =
    api !== undefined ? urlFrom(api, "api") : `http://127.0.0.1:${readRunningConfig().ports.api}/graphql`;
  const found = await readTrace(url, { hash, account, entriesMax });
  if (values.json) console.log(JSON.stringify(found));
  else for (const line of linesOf(found, entriesMax)) console.log(line);
  if (found.payout !== null || found.receipt !== null) return 0;
  console.error(
    `Neither a claim transaction nor a receipt is known by ${hash}. Young ones appear once they are indexed; { status } of ${url} tells how far it is.`,
  );
  return 1;
}

const options = {
  account: { type: "string" },
  entries: { type: "string" },
  all: { type: "boolean", default: false },
  api: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

function linesOf({ payouts, payout, receipt }: Trace, entriesMax: number): string[] {
  return [
    ...(payouts.length > 1 ? payoutLines(payouts) : []),
    ...(payout === null ? [] : claimLines(payout)),
    ...(receipt === null ? [] : answerLines(receipt, entriesMax)),
  ];
}
