import { join } from "node:path";
import { parseArgs } from "node:util";
import pc from "picocolors";
import { createPublicClient, type Hex, http } from "viem";
import { developmentSrs, RelayClient } from "#eigenda/index";
import { readDeployment } from "#schema/deployment";
import { InvariantError } from "#schema/errors";
import { readConfig } from "./config.ts";
import { BrokenLink, type Link, type LinkName } from "./verify/link.ts";
import { verifyPayout } from "./verify/payout.ts";
import { chainSources } from "./verify/sources.ts";

const help = `npm run tributary -- verify <claim transaction> [options]
  Recomputes a payout from the chain and DA alone: leaf, roots, commitments, signatures, allocation, sums.
  Scores are taken from the provenance blob and checked among themselves; recomputing them takes the engine.
  --rpc <url>           chain (RPC_URL)
  --disperser <url>     EigenDA relay (DISPERSER_URL)
  --addresses <file>    contract addresses (ADDRESSES_FILE)
  --srs <folder>        cache of the structured reference string (in the data folder)
  --json                one JSON line: {verdict, link, reason, links}
  Exit code: 0 valid, 1 invalid (the link is named), 2 cannot check (and why).`;

/** Verdicts and their exit codes. */
const exitCodes = { valid: 0, invalid: 1, "cannot check": 2 } as const;

export type Verdict = {
  verdict: keyof typeof exitCodes;
  link: LinkName | null;
  reason: string | null;
  links: Link[];
};

/** @returns 0 valid, 1 invalid naming the link, 2 cannot check and why. */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [txHash] = positionals;
  if (values.help || txHash === undefined || !/^0x[0-9a-fA-F]{64}$/.test(txHash)) {
    console.log(help);
    return values.help ? 0 : exitCodes["cannot check"];
  }
  const print = values.json ? () => undefined : printLink;
  const verdict = await judge(txHash.toLowerCase() as Hex, values, print);
  if (values.json) console.log(JSON.stringify(verdict));
  else printVerdict(verdict);
  return exitCodes[verdict.verdict];
}

const options = {
  rpc: { type: "string" },
  disperser: { type: "string" },
  addresses: { type: "string" },
  srs: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

type Places = Partial<Record<"rpc" | "disperser" | "addresses" | "srs", string | undefined>>;

/** Opens chain and DA as given, or as the configuration says, and checks every link. */
async function judge(txHash: Hex, places: Places, print: (link: Link) => void): Promise<Verdict> {
  const config = readConfig();
  const rpcUrl = places.rpc ?? config.rpcUrl ?? `http://127.0.0.1:${config.ports.chain}`;
  const relayUrl = places.disperser ?? config.disperserUrl ?? `http://127.0.0.1:${config.ports.disperser}`;
  const addresses = places.addresses ?? config.addressesFile ?? join(config.folder, "addresses.json");
  const links: Link[] = [];
  const report = (link: Link) => {
    links.push(link);
    print(link);
  };
  try {
    const srs = await developmentSrs({ folder: places.srs ?? join(config.folder, "srs") });
    await using relay = new RelayClient({ relayUrl: () => relayUrl, srs });
    const client = createPublicClient({ transport: http(rpcUrl), cacheTime: 0 });
    await verifyPayout(chainSources(client, readDeployment(addresses), relay, srs), txHash, report);
    return { verdict: "valid", link: null, reason: null, links };
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    return { ...failure(error), links };
  }
}

/** What a failure says about the payout. Whatever is no broken link leaves the question open. */
function failure(error: unknown): Omit<Verdict, "links"> {
  if (error instanceof BrokenLink) return { verdict: "invalid", link: error.link, reason: error.message };
  const reason = error instanceof Error ? (error.message.split("\n")[0] ?? error.name) : String(error);
  return { verdict: "cannot check", link: null, reason };
}

function printLink({ name, ok, hash, detail }: Link): void {
  const mark = ok ? pc.green("✓") : pc.red("✗");
  console.log(`${mark} ${name.padEnd(24)} ${pc.dim(hash ?? "-".padEnd(66))} ${detail}`);
}

function printVerdict({ verdict, link, reason }: Verdict): void {
  if (verdict === "valid") console.log(pc.green("valid: every link holds"));
  else if (verdict === "invalid") console.log(pc.red(`invalid: ${link}: ${reason}`));
  else console.log(pc.yellow(`cannot check: ${reason}`));
}
