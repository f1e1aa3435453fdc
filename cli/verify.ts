import { parseArgs } from "node:util";
import pc from "picocolors";
import type { Hex } from "viem";
import { InvariantError } from "#schema/errors";
import { hashFrom } from "./arguments.ts";
import { nothingChecked } from "./verify/checked.ts";
import { BrokenLink, type Link, type LinkName } from "./verify/link.ts";
import { verifyPayout } from "./verify/payout.ts";
import { openSources, type Places, placeOptions, placesHelp, placesOf, reasonOf } from "./verify/places.ts";

const help = `npm run tributary -- verify <claim transaction> … [options]
  Recomputes payouts from the chain and DA alone: leaf, roots, commitments, signatures, allocation, sums.
  Scores are taken from the provenance blob and checked among themselves; recomputing them takes the engine.
  What several transactions share is checked once.
${placesHelp}
  --all                 every chunk, record and receipt, not only the first few of each
  --json                one JSON line for each transaction: {transaction, verdict, link, reason, links, served}
  Exit code: 0 valid, 1 invalid (the link is named), 2 cannot check (and why); of several, 1 before 2 before 0.`;

/** Verdicts and their exit codes. */
const exitCodes = { valid: 0, invalid: 1, "cannot check": 2 } as const;

export type Verdict = {
  transaction: Hex;
  verdict: keyof typeof exitCodes;
  link: LinkName | null;
  reason: string | null;
  links: Link[];
  /** Blobs read until then, by who served them. */
  served: Record<string, number>;
};

/** @returns 0 valid, 1 invalid naming the link, 2 cannot check and why. @throws UsageError */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const given = positionals.length === 0 ? [undefined] : [...new Set(positionals)];
  const hashes = given.map((text) => hashFrom(text, "the hash of a claim transaction (bot prints them)"));
  const verdicts = await judge(hashes, placesOf(values), values);
  const codes = verdicts.map(({ verdict }) => exitCodes[verdict]);
  return codes.find((code) => code === 1) ?? Math.max(...codes);
}

const options = {
  ...placeOptions,
  all: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

/** Opens chain and DA and checks every link of each transaction, in the order given; prints as it goes. */
async function judge(
  hashes: readonly Hex[],
  places: Places,
  { all: isAll, json: isJson }: { all: boolean; json: boolean },
): Promise<Verdict[]> {
  await using opened = await openSources(places);
  const { sources } = opened;
  const checked = nothingChecked();
  const verdicts: Verdict[] = [];
  for (const transaction of hashes) {
    const links: Link[] = [];
    const printer = linkPrinter(isAll ? Number.POSITIVE_INFINITY : linksOfNameMax);
    const report = (link: Link) => {
      links.push(link);
      if (!isJson) printer.print(link);
    };
    const outcome = await outcomeOf(verifyPayout(sources, transaction, report, checked), places);
    printer.end();
    const verdict = { transaction, ...outcome, links, served: Object.fromEntries(sources.served) };
    if (isJson) console.log(JSON.stringify(verdict));
    else printVerdict(verdict);
    verdicts.push(verdict);
  }
  return verdicts;
}

type Outcome = Omit<Verdict, "transaction" | "links" | "served">;

async function outcomeOf(checking: Promise<void>, places: Places): Promise<Outcome> {
  try {
    await checking;
    return { verdict: "valid", link: null, reason: null };
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    return failure(error, places);
  }
}

/** What a failure says about the payout. Whatever is no broken link leaves the question open. */
function failure(error: unknown, { rpc, disperser }: Places): Outcome {
  if (error instanceof BrokenLink) return { verdict: "invalid", link: error.link, reason: error.message };
  return { verdict: "cannot check", link: null, reason: reasonOf(error, { rpc, disperser }) };
}

/** Of links of one name that hold, so many are printed, and at the end how many more there were. */
const linksOfNameMax = 3;

function linkPrinter(max: number) {
  const counts = new Map<LinkName, number>();
  return {
    print: (link: Link) => {
      const count = (counts.get(link.name) ?? 0) + 1;
      counts.set(link.name, count);
      if (count <= max || !link.ok) printLink(link);
    },
    end: () => {
      const more = [...counts].filter(([, count]) => count > max);
      const told = more.map(([name, count]) => `${count - max} × ${name}`).join(", ");
      if (more.length > 0) console.log(pc.dim(`checked in the same way: ${told} (--all prints each)`));
    },
  };
}

function printLink({ name, ok, hash, detail }: Link): void {
  const mark = ok ? pc.green("✓") : pc.red("✗");
  console.log(`${mark} ${name.padEnd(24)} ${pc.dim(hash ?? "-".padEnd(66))} ${detail}`);
}

function printVerdict({ verdict, link, reason, served }: Verdict): void {
  const counts = Object.entries(served).map(([source, count]) => `${count} by ${source}`);
  if (counts.length > 0) console.log(pc.dim(`blobs served: ${counts.join(", ")}`));
  if (verdict === "valid") console.log(pc.green("valid: every link holds"));
  else if (verdict === "invalid") console.log(pc.red(`invalid: ${link}: ${reason}`));
  else console.log(pc.yellow(`cannot check: ${reason}`));
}
