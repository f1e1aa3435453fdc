import { serve } from "@hono/node-server";
import { createPublicClient, type Hex, http } from "viem";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createApp } from "#api/server";
import { RelayClient } from "#eigenda/index";
import { onchain } from "#schema/bind";
import { reward } from "#schema/offchain/50-settlement";
import * as tree from "#settlement/tree/tree";
import { contributor, owner } from "../indexer/test/life.ts";
import { devAccount } from "../schema/testing/stack.ts";
import { openSettledWorld, type SettledWorld } from "../settlement/testing/settled-world.ts";
import * as trace from "./trace.ts";
import { nothingChecked } from "./verify/checked.ts";
import { BrokenLink, CannotCheck, type Link } from "./verify/link.ts";
import { verifyPayout } from "./verify/payout.ts";
import { chainSources, type Sources } from "./verify/sources.ts";
import * as verify from "./verify.ts";

let world: SettledWorld;
let sources: Sources;
let relay: RelayClient;
let claimTx: Hex;
let api: ReturnType<typeof createApp>;
const account = devAccount(contributor).address;

beforeAll(async () => {
  world = await openSettledWorld();
  await world.answer(4);
  await world.drive(/^final$/);
  await claim();
  await world.drive(/^final$/);
  claimTx = await claim();
  await world.world.caughtUp();
  relay = new RelayClient({ relayUrl: () => world.disperser.url, srs: world.srs });
  const client = createPublicClient({ transport: http(world.world.rpcUrl), cacheTime: 0 });
  sources = chainSources(client, world.world.deployment, relay, world.srs);
  api = createApp({ db: world.world.database.db, client });
});

afterAll(async () => {
  await relay?.close();
  await world?.[Symbol.asyncDispose]();
});

let printed: string[];
beforeEach(() => {
  printed = [];
  vi.spyOn(console, "log").mockImplementation((line) => void printed.push(String(line)));
  return () => vi.restoreAllMocks();
});

describe("tributary verify", () => {
  it("finds a real payout valid and prints each link with its hash", async () => {
    expect(await verify.run([claimTx, ...places()])).toBe(0);
    const text = printed.join("\n");
    expect(text).toContain("valid: every link holds");
    for (const name of [
      "leaf",
      "reward root",
      "provenance blob",
      "receipt signatures",
      "allocation",
      "chunk",
    ]) {
      expect(text).toContain(name);
    }
    expect(text).not.toContain("✗");
  });

  it("calls one flipped byte in a blob invalid, naming the link", async () => {
    world.disperser.faults.add("corrupt");
    try {
      expect(await verify.run([claimTx, "--json", ...places()])).toBe(1);
      expect(JSON.parse(printed[0]!)).toMatchObject({ verdict: "invalid", link: "provenance blob" });
    } finally {
      world.disperser.faults.clear();
    }
  });

  it("cannot check without DA, without the chain, or without such a transaction, and says why", async () => {
    const nowhere = "http://127.0.0.1:1";
    expect(await verify.run([claimTx, "--json", ...places({ disperser: nowhere })])).toBe(2);
    expect(await verify.run([claimTx, "--json", ...places({ rpc: nowhere })])).toBe(2);
    expect(await verify.run([`0x${"12".repeat(32)}`, "--json", ...places()])).toBe(2);
    const reasons = printed.map((line) => JSON.parse(line).reason);
    expect(reasons[0]).toMatch(/DA does not answer/);
    expect(reasons[1]).toMatch(/HTTP request failed/);
    expect(reasons[2]).toMatch(/no transaction/);
  });

  it.each<[string, string, (real: Sources) => Sources]>([
    ["claim", "an amount of another size", (s) => tamper(s, "Claimed", { amount: 1n })],
    ["proof", "an active root of another tree", (s) => tamper(s, "RootActivated", { root: tree.zeroRoot })],
    ["proof", "a proof with a changed hash", withChangedProof],
    [
      "epoch",
      "a finalised root that was not proposed",
      (s) => tamper(s, "EpochFinalized", { rewardRoot: tree.zeroRoot }),
    ],
    [
      "provenance certificate",
      "another certificate hash",
      (s) => tamper(s, "EpochProposed", { daRef: tree.zeroRoot }),
    ],
    [
      "provenance content",
      "another content hash",
      (s) => tamper(s, "EpochProposed", { contentHash: tree.zeroRoot }),
    ],
    [
      "attribution root",
      "another attribution root",
      (s) => tamper(s, "EpochProposed", { attributionRoot: tree.zeroRoot }),
    ],
    ["reward sum", "another total", (s) => tamper(s, "EpochProposed", { rootTotal: 1n })],
    [
      "receipts accumulator",
      "another receipts root",
      (s) => tamper(s, "BatchSettled", { receiptsRoot: tree.zeroRoot }),
    ],
    ["fee totals", "another usage of the model", (s) => tamper(s, "ModelUsage", { amount: 1n })],
    ["allocation", "a larger pool", (s) => tamper(s, "BatchSettled", { poolShare: 1n })],
    ["allocation", "votes of another weight", (s) => tamper(s, "ValidationVote", { validator: account })],
    ["conservation", "a larger node share", (s) => tamper(s, "BatchSettled", { nodeShare: 1n })],
    [
      "data root",
      "another data root",
      (s) => tamper(s, "ContributionSubmitted", { dataRoot: tree.zeroRoot }),
    ],
  ])("breaks at the link %s for %s", async (link, _, change) => {
    const links: Link[] = [];
    const report = (one: Link) => void links.push(one);
    const checking = verifyPayout(change(sources), claimTx, report, nothingChecked());
    const failed = await checking.catch((error) => error);
    expect(failed).toBeInstanceOf(BrokenLink);
    expect(failed.link).toBe(link);
    expect(links.filter(({ ok }) => !ok).every(({ name }) => name === link)).toBe(true);
  });

  it("says nothing about a transaction that claims nothing", async () => {
    const { transactionHash } = await world.sender.send(owner, "openToken", "approve", [account, 1n]);
    const checking = verifyPayout(sources, transactionHash, () => undefined, nothingChecked());
    await expect(checking).rejects.toThrow(CannotCheck);
  });
});

describe("the API", () => {
  it("leads from a payout to its contributors in one query, with the hash of each hop", async () => {
    const { data, errors } = await query(
      `query ($tx: Hex) { claims(txHash: $tx, first: 2) { nodes {
        txHash amountWei leaf { hash proof epoch { rewardRoot } } epoch { id rewardRoot attributionRoot conservation { isConserved } }
        entries(first: 50) { nodes { leaf proof amountWei reason
          receipt { digest leaf batch { receiptsRoot txHash } candidates { leaf } }
          chunk { id leaf textHash contribution { dataRoot submittedTx contributor { account earnedWei claimedWei } } } } } } } }`,
      { tx: claimTx },
    );
    expect(errors).toBeUndefined();
    const [payout] = data.claims.nodes;
    expect(tree.verify(payout.epoch.rewardRoot, payout.leaf.hash, payout.leaf.proof)).toBe(true);
    expect(payout.epoch.conservation.isConserved).toBe(true);
    const entries = payout.entries.nodes;
    const paidWei = entries.reduce((wei: bigint, e: { amountWei: string }) => wei + BigInt(e.amountWei), 0n);
    expect(paidWei).toBe(BigInt(payout.amountWei));
    for (const entry of entries) {
      expect(tree.verify(payout.epoch.attributionRoot, entry.leaf, entry.proof)).toBe(true);
      expect(entry.chunk.contribution.contributor.account).toBe(account.toLowerCase());
    }
  });

  it("tells a bot what is claimable, with proofs that the distributor takes", async () => {
    const page =
      "claimable(first: 1) { nodes { account { account } cumulativeWei claimableWei proof } endCursor hasNextPage }";
    const { data } = await query(`{ ${page} status { finalBlock chainBlock } }`);
    const [owed] = data.claimable.nodes;
    expect(BigInt(owed.claimableWei)).toBeGreaterThan(0n);
    const args = [owed.account.account, BigInt(owed.cumulativeWei), owed.proof];
    await world.sender.send(owner, "rewardDistributor", "claim", args);
    await world.world.caughtUp();
    const { data: after } = await query(`{ ${page} }`);
    expect(after.claimable.nodes[0]?.account.account).not.toBe(owed.account.account);
  });

  it("tells a contributor why records earned nothing", async () => {
    const { data } = await query(
      `query ($account: Hex!) { contributor(account: $account) { zeroReasons { reasonText count } claimable { claimableWei } } }`,
      { account },
    );
    expect(data.contributor.claimable.claimableWei).toBe("0");
    expect(data.contributor.zeroReasons.length).toBeGreaterThan(0);
  });

  it("reads the newest state on each request and reports health", async () => {
    expect((await api.request("/health")).status).toBe(200);
    expect(await (await api.request("/metrics")).text()).toContain("api_requests_total");
    const { data } = await query("{ conservation { feesWei splitsWei leavesWei carriedWei isConserved } }");
    expect(data.conservation).toHaveLength(2);
  });
});

describe("tributary trace", () => {
  it("prints every hop of a payout and of a receipt from the API", async () => {
    await using served = await serveApi();
    expect(await trace.run([claimTx, "--api", served.url])).toBe(0);
    for (const hop of [
      "payout",
      "leaf",
      "reward root",
      "receipt",
      "chunk",
      "data root",
      account.toLowerCase(),
    ]) {
      expect(printed.join("\n")).toContain(hop);
    }
    const digest = /receipt\s+\S*(0x[0-9a-f]{64})/.exec(printed.join("\n"))![1]!;
    printed = [];
    expect(await trace.run([digest, "--api", served.url])).toBe(0);
    expect(printed.join("\n")).toMatch(/question/);
  });

  it("says so when the API does not answer", async () => {
    await expect(trace.run([claimTx, "--api", "http://127.0.0.1:1/graphql"])).rejects.toThrow(
      /does not answer/,
    );
  });
});

function places(other: Partial<Record<"rpc" | "disperser", string>> = {}): string[] {
  const { rpcUrl, deployment } = world.world;
  return [
    ...["--rpc", other.rpc ?? rpcUrl],
    ...["--disperser", other.disperser ?? world.disperser.url],
    ...["--addresses", deployment.addressesFile],
    ...["--srs", world.environment.SRS_FOLDER!],
  ];
}

/** Claims what the active root gives the contributor. */
async function claim(): Promise<Hex> {
  const { database } = world.world;
  const [active] = await database.db.select().from(onchain.distributor);
  const rewards = await database.db.select().from(reward);
  const current = rewards.filter(({ epochId }) => epochId === active!.epoch);
  const own = current.find((row) => row.account === account.toLowerCase())!;
  const proof = tree.proof(tree.build(current.map(({ leaf }) => leaf)), own.leaf);
  const args = [account, own.cumulativeWei, proof];
  return (await world.sender.send(contributor, "rewardDistributor", "claim", args)).transactionHash;
}

/** Sources that lie about one field of every event of a name: the fault an attacker's node would show. */
function tamper(real: Sources, name: string, change: object): Sources {
  const events = async (contract: never, eventName: never, toBlock: bigint) => {
    const found = await real.events(contract, eventName, toBlock);
    const args = (given: unknown) => ({ ...(given as object), ...change });
    return eventName === name
      ? found.map((event: { args: unknown }) => ({ ...event, args: args(event.args) }))
      : found;
  };
  return { ...real, events: events as unknown as Sources["events"] };
}

function withChangedProof(real: Sources): Sources {
  return {
    ...real,
    transaction: async (hash) => {
      const found = (await real.transaction(hash))!;
      const last = found.input.at(-1) === "0" ? "1" : "0";
      return { ...found, input: `${found.input.slice(0, -1)}${last}` as Hex };
    },
  };
}

async function query(text: string, variables: object = {}) {
  const response = await api.request("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: text, variables }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what each test asserts.
  return (await response.json()) as { data: any; errors?: { message: string }[] };
}

async function serveApi() {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = serve({ fetch: api.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => resolve(port));
  const url = `http://127.0.0.1:${await promise}/graphql`;
  return { url, [Symbol.asyncDispose]: () => new Promise<void>((done) => server.close(() => done())) };
}
