import { asc, count, eq, sql } from "drizzle-orm";
import { type Abi, decodeEventLog, type Hex, HttpRequestError, keccak256 } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { abis } from "#contracts/deploy";
import { onchain } from "#schema/bind";
import { consumeEvents } from "#schema/consume";
import { encodeArgs, indexedAbis, readEvent } from "#schema/events";
import { finalBlock, findOrphan } from "#schema/finality";
import { carried } from "#schema/offchain/50-settlement";
import { compareStates, stateHash } from "#schema/state-hash";
import { devAccount, until } from "#schema/testing/stack";
import {
  baseModel,
  contributor,
  firstHalf,
  fund,
  newSender,
  payer,
  type Sender,
  scopeOf,
  secondHalf,
  submit,
} from "./life.ts";
import { type IndexedName, placedContracts } from "./placed-contracts.ts";
import { type Indexer, openWorld, type World } from "./world.ts";

let world: World;
let sender: Sender;
let indexer: Indexer;

beforeAll(async () => {
  world = await openWorld();
  sender = newSender(world.rpcUrl, world.deployment);
  await fund(sender);
  await firstHalf(sender);
  indexer = await world.startIndexer();
  await world.caughtUp();
  await secondHalf(sender, world.deployment);
  await world.caughtUp();
});

afterAll(async () => {
  await indexer?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

it("records every log of every contract once, from before the indexer started and after", async () => {
  const placed = await placedContracts(world);
  const addresses = placed.map(({ address }) => address);
  const logs = await world.client.getLogs({ address: addresses, fromBlock: 0n });
  const rows = await world.database.db.select().from(onchain.event).orderBy(asc(onchain.event.id));
  expect(rows.map(({ txHash, logIndex }) => `${txHash} ${logIndex}`)).toEqual(
    logs.map(({ transactionHash, logIndex }) => `${transactionHash} ${logIndex}`),
  );
  for (const [index, log] of logs.entries()) {
    const { name } = placed.find(({ address }) => address.toLowerCase() === log.address)!;
    const decoded = decodeEventLog({ abi: indexedAbis[name] as Abi, data: log.data, topics: log.topics });
    const row = rows[index]!;
    expect(row).toMatchObject({ contract: name, name: decoded.eventName, blockHash: log.blockHash });
    expect(row.args).toEqual(lowerCased(encodeArgs(decoded.args)));
  }
});

it("sees every event the contracts can emit", async () => {
  const rows = await world.database.db
    .selectDistinct({ contract: onchain.event.contract, name: onchain.event.name })
    .from(onchain.event);
  const declared = indexedNames.flatMap((contract) =>
    indexedAbis[contract].flatMap((item) => (item.type === "event" ? [`${contract}:${item.name}`] : [])),
  );
  expect(rows.map(({ contract, name }) => `${contract}:${name}`).sort()).toEqual(
    declared.filter((event) => !neverHappen.some((pattern) => pattern.test(event))).sort(),
  );
});

it("gives recorded arguments back as viem decodes them, addresses in lower case", async () => {
  const [row] = await world.database.db
    .select()
    .from(onchain.event)
    .where(eq(onchain.event.name, "ChannelCreated"));
  const args = readEvent(row!, "ChannelEscrow", "ChannelCreated");
  const [log] = await world.client.getContractEvents({
    address: world.deployment.contracts.channelEscrow,
    abi: indexedAbis.ChannelEscrow,
    eventName: "ChannelCreated",
    fromBlock: 0n,
  });
  expect(args).toEqual(lowerCased(log!.args));
  expect(args?.config.withdrawDelay).toBe(900);
  expect(readEvent(row!, "ChannelEscrow", "Deposited")).toBeUndefined();
});

it("replays stakes, Datanets and contributions to what the contracts store", async () => {
  const { db } = world.database;
  for (const row of await db.select().from(onchain.stake)) {
    const [amount, unlockAt, locks] = await sender.read<[bigint, bigint, number]>("stakeVault", "stakeOf", [
      row.scope,
      row.account,
    ]);
    expect(row).toMatchObject({ amount, unlockAt, locks });
  }
  const slashed = (await db.select().from(onchain.stake)).reduce((sum, row) => sum + row.slashed, 0n);
  expect(slashed).toBe(await sender.read("stakeVault", "totalSlashed"));
  expect(slashed).toBeGreaterThan(0n);
  for (const { id, ...row } of await db.select().from(onchain.datanet)) {
    expect(row).toMatchObject(await sender.read<object>("datanetRegistry", "paramsOf", [id]));
    expect(row.owner).toBe((await sender.read<Hex>("datanetRegistry", "ownerOf", [id])).toLowerCase());
  }
  const contributions = await db.select().from(onchain.contribution).orderBy(asc(onchain.contribution.id));
  expect(contributions.map(({ state }) => state)).toEqual([2, 3, 4, 5, 1]);
  for (const row of contributions) {
    const batch = await sender.read<{ contributor: Hex }>("datanetRegistry", "batchOf", [row.id]);
    const { quorumBps: _, slashBps: __, ...stored } = batch as never as Record<string, unknown>;
    expect(row).toMatchObject({ ...stored, contributor: batch.contributor.toLowerCase() });
  }
});

it("keeps what anyone can post: text with NUL, numbers no int4 holds, a lock without a stake", async () => {
  const { db } = world.database;
  const [datanet] = await db.select().from(onchain.datanet).where(eq(onchain.datanet.id, 1n));
  expect(datanet?.metadataUri).toBe("ipfs://null\u0007 and ünïcode");
  const [contribution] = await db.select().from(onchain.contribution).where(eq(onchain.contribution.id, 5n));
  expect(contribution?.items).toBe(2 ** 32 - 1);
  const account = devAccount(payer).address.toLowerCase() as Hex;
  const [stake] = await db.select().from(onchain.stake).where(eq(onchain.stake.account, account));
  expect(stake).toMatchObject({ scope: await scopeOf(sender, 2n), amount: 0n, locks: 1 });
  const [batch] = await db.select().from(onchain.batch).where(eq(onchain.batch.id, 1n));
  expect(batch?.calls).toBe(2 ** 32 - 1);
});

it("replays models, channels and node credit to what the contracts store", async () => {
  const { db } = world.database;
  for (const row of await db.select().from(onchain.model)) {
    expect(row.owner).toBe((await sender.read<Hex>("modelRegistry", "ownerOf", [row.id])).toLowerCase());
    expect(row.depth).toBe(await sender.read("modelRegistry", "depthOf", [row.id]));
    expect(row.pricePerCall).toBe(await sender.read("modelRegistry", "priceOf", [row.id]));
  }
  expect(await db.select({ rows: count() }).from(onchain.modelDatanet)).toEqual([{ rows: 1 }]);
  const [manifest] = await db.select().from(onchain.trainingManifest);
  expect(manifest).toMatchObject({ daCommitment: "0xce47", daRef: keccak256("0xce47") });
  for (const { id, ...row } of await db.select().from(onchain.channel)) {
    const stored = await sender.read<Record<string, unknown>>("channelEscrow", "channelOf", [id]);
    const withdrawFinalizeAfter = BigInt(stored.withdrawFinalizeAfter as number);
    expect(row).toMatchObject({ ...stored, withdrawFinalizeAfter });
  }
  for (const row of await db.select().from(onchain.nodeCredit)) {
    expect(row.credit).toBe(await sender.read("settlementHub", "nodeCredit", [row.node]));
    expect(row.credited - row.paid).toBe(row.credit);
  }
  for (const row of await db.select().from(onchain.batch)) {
    expect(await sender.read("settlementHub", "batchIdOf", [row.node, row.receiptsRoot])).toBe(row.id);
    expect(row.nodeShare + row.poolShare + row.treasuryShare).toBe(row.total);
  }
});

it("keeps a challenge that waits for its node apart from a fault that is proven at once", async () => {
  const rows = await world.database.db
    .select()
    .from(onchain.receiptChallenge)
    .orderBy(onchain.receiptChallenge.fault);
  const [missing, double] = rows;
  expect(rows).toHaveLength(2);
  expect(missing).toMatchObject({ fault: 1, isUpheld: true, slashed: 0n, receiptHash: double?.receiptHash });
  expect(missing?.answerEnd).toBeGreaterThan(0n);
  expect(double).toMatchObject({ fault: 2, isUpheld: true, answerEnd: 0n });
});

it("replays epochs, bonds and rewards to what the contracts store", async () => {
  const { db } = world.database;
  const epochs = await db.select().from(onchain.epoch);
  expect(epochs).toHaveLength(1);
  for (const row of epochs) {
    const [status, deadline] = await sender.read<[number, bigint]>("attributionLedger", "statusOf", [row.id]);
    const isFinal = status === 4; // Of a final epoch the chain keeps the status alone.
    expect(row).toMatchObject(isFinal ? { status } : { status, deadline });
  }
  for (const row of await db.select().from(onchain.bondCredit)) {
    expect(row.credit).toBe(await sender.read("attributionLedger", "bondCredit", [row.account]));
  }
  const [distributor] = await db.select().from(onchain.distributor);
  for (const field of ["epoch", "root", "rootTotal", "totalFunded", "totalClaimed"] as const) {
    expect(distributor?.[field], field).toBe(await sender.read("rewardDistributor", field));
  }
  const accounts = await db.select().from(onchain.rewardAccount);
  expect(accounts).toHaveLength(2);
  for (const row of accounts) {
    expect(row.claimed).toBe(await sender.read("rewardDistributor", "claimed", [row.account]));
    const claimer = await sender.read<Hex>("rewardDistributor", "claimerFor", [row.account]);
    expect(row.claimer).toBe(claimer.toLowerCase());
  }
});

it("replays Datanets' owners, rules, usage and access to what the registry stores", async () => {
  const { db } = world.database;
  const registry = "datanetRegistry";
  for (const { id, status } of await db.select().from(onchain.datanet)) {
    expect(status).toBe(await sender.read(registry, "statusOf", [id]));
    const owners = await db
      .select()
      .from(onchain.datanetOwner)
      .where(eq(onchain.datanetOwner.datanetId, id))
      .orderBy(asc(onchain.datanetOwner.eventId));
    const owner = await sender.read<Hex>(registry, "ownerOf", [id]);
    expect(owners.at(-1)?.owner).toBe(owner.toLowerCase());
  }
  const [rules] = await db.select().from(onchain.datanetRules);
  expect([rules?.formatHash, rules?.validationRuleHash]).toEqual(
    await sender.read(registry, "rulesOf", [1n]),
  );
  const usages = await db.select().from(onchain.datanetUsage);
  expect(usages).toHaveLength(1);
  for (const { epochId, datanetId, usageRoot } of usages) {
    expect(usageRoot).toBe(await sender.read(registry, "usageRootOf", [epochId, datanetId]));
  }
  for (const row of await db.select().from(onchain.accessRequest)) {
    const stored = await sender.read<[bigint, Hex, number, bigint, Hex]>(registry, "accessRequestOf", [
      row.id,
    ]);
    const { datanetId, account, state, expiresAt, purposeHash } = row;
    expect([datanetId, account, state, expiresAt, purposeHash]).toEqual(lowerCased(stored));
  }
  for (const { datanetId, account, accessUntil } of await db.select().from(onchain.datanetAccess)) {
    expect(accessUntil).toBe(await sender.read(registry, "accessUntil", [datanetId, account]));
  }
  for (const { id, quality } of await db.select().from(onchain.contribution)) {
    expect(quality ?? 0).toBe(await sender.read(registry, "qualityOf", [id]));
  }
});

it("replays models' terms, proposals, curves and tokens to what the contracts store", async () => {
  const { db } = world.database;
  for (const row of await db.select().from(onchain.model)) {
    const terms = [row.owner, row.pricePerCall, row.serviceTier];
    expect(terms).toEqual(lowerCased(await sender.read<unknown[]>("modelRegistry", "termsOf", [row.id])));
    expect(row.version).toBe(await sender.read("modelRegistry", "versionOf", [row.id]));
    expect(row.status).toBe(await sender.read("modelRegistry", "statusOf", [row.id]));
  }
  for (const { node, isRetired } of await db.select().from(onchain.servingNode)) {
    expect(!isRetired).toBe(await sender.read("modelRegistry", "isNode", [node]));
  }
  for (const row of await db.select().from(onchain.modelProposal)) {
    const stored = await sender.read<unknown[]>("modelProposals", "proposalOf", [row.id]);
    expect([row.proposer, row.voteEnd, row.state, row.forW, row.againstW]).toEqual(
      lowerCased(stored.slice(0, 5)),
    );
  }
  for (const row of await db.select().from(onchain.curve)) {
    for (const [field, getter] of Object.entries({
      supply: "totalSupply",
      reserve: "reserve",
      fees: "fees",
    })) {
      const call = { address: row.address, abi: abis.modelCurve as Abi, functionName: getter };
      expect(row[field as "supply"], field).toBe(await world.client.readContract(call));
    }
  }
  const accounts = await db.select().from(onchain.tokenAccount);
  expect(accounts.length).toBeGreaterThan(10);
  for (const { account, balance, votes } of accounts) {
    expect(balance, account).toBe(await sender.read("openToken", "balanceOf", [account]));
    expect(votes, account).toBe(await sender.read("openToken", "getVotes", [account]));
  }
  const [supply] = await db.select().from(onchain.tokenSupply);
  expect(supply?.supply).toBe(await sender.read("openToken", "totalSupply"));
});

it("replays votes, delays and roles of governance to what the contracts store", async () => {
  const { db } = world.database;
  const proposals = await db.select().from(onchain.proposal);
  expect(new Set(proposals.map(({ governor }) => governor)).size).toBe(2);
  for (const row of proposals) {
    const call = { address: row.governor, abi: abis.governor, args: [row.id] } as const;
    const tally = await world.client.readContract({ ...call, functionName: "proposalVotes" });
    expect([row.againstVotes, row.forVotes, row.abstainVotes]).toEqual(tally);
    expect(row.voteEnd).toBe(await world.client.readContract({ ...call, functionName: "proposalDeadline" }));
    const state = await world.client.readContract({ ...call, functionName: "state" });
    expect([row.isCanceled, row.isExecuted]).toEqual([state === 2, state === 7]);
  }
  const settings = new Map(
    (await db.select().from(onchain.setting)).map(({ contract, name, value }) => [
      `${contract}.${name}`,
      value,
    ]),
  );
  for (const name of ["votingDelay", "votingPeriod", "proposalThreshold", "quorumNumerator"]) {
    expect(settings.get(`TributaryGovernor.${name}`)).toBe(String(await sender.read("governor", name)));
  }
  for (const row of await db.select().from(onchain.roleMember)) {
    const isPermission = row.contract === "permissions";
    const stored = isPermission
      ? (await sender.read<[boolean, number]>("permissions", "hasRole", [BigInt(row.role), row.account]))[0]
      : await sender.read<boolean>("timelock", "hasRole", [row.role, row.account]);
    expect(row.isMember, `${row.contract} ${row.role}`).toBe(stored);
  }
  for (const { target, selector, role } of await db.select().from(onchain.functionRole)) {
    expect(role).toBe(await sender.read("permissions", "getTargetFunctionRole", [target, selector]));
  }
  for (const { callId, isExecuted } of await db.select().from(onchain.timelockCall)) {
    expect(isExecuted).toBe(await sender.read("timelock", "isOperationDone", [callId]));
  }
  for (const { daRef, status } of await db.select().from(onchain.daCertVerdict)) {
    expect(status).toBe(await sender.read("daCertMirror", "verdictOf", [daRef]));
  }
});

it("calls final what both Ponder and the node call final", async () => {
  const reader = { db: world.database.db, client: world.client };
  await world.client.mine({ blocks: 60 });
  const head = await world.client.getBlockNumber({ cacheTime: 0 });
  const final = await until("Ponder's finality moves", async () => {
    const found = await finalBlock(reader);
    return found && found.indexedBlock >= head - 60n && found;
  });
  expect(final.chainBlock).toBe(head - 2n);
  expect(final.blockNumber).toBe(final.indexedBlock);
  expect(await findOrphan(reader, head)).toBeUndefined();
});

it("wakes a consumer when the indexer commits, not by the clock, and lets it stop between transactions", async () => {
  const stopping = new AbortController();
  const seen: string[] = [];
  let failuresLeft = 1;
  const failures: unknown[] = [];
  const consuming = consumeEvents({
    database: world.database,
    client: {
      getChainId: world.client.getChainId,
      // The node is away for the first question.
      getBlock: ((args: never) => {
        if (failuresLeft-- > 0) return Promise.reject(new HttpRequestError({ url: world.rpcUrl, body: {} }));
        return world.client.getBlock(args);
      }) as unknown as typeof world.client.getBlock,
    },
    name: "woken",
    signal: stopping.signal,
    pollMs: 3_600_000,
    apply: async (tx, { id }) => {
      await tx.execute(sql`select 1`);
      seen.push(id);
    },
    onFailure: (error) => failures.push(error),
  });
  const [recorded] = await world.database.db.select({ events: count() }).from(onchain.event);
  await until("what is final is consumed", () => seen.length === recorded!.events);
  await submit(sender, contributor, 1n, 1);
  await world.client.mine({ blocks: 62 });
  // The submission and the lock it takes.
  await until("the new events are consumed", () => seen.length === recorded!.events + 2);
  stopping.abort();
  await consuming;
  expect(failures).toHaveLength(1);
  expect(new Set(seen).size).toBe(seen.length);
});

it("indexes the same rows again from nothing, in a new schema", async () => {
  await world.caughtUp();
  const before = await stateHash(world.database.sql, "full");
  expect(before.tables.filter(({ rows }) => rows > 0).length).toBeGreaterThanOrEqual(50);
  await indexer[Symbol.asyncDispose]();
  indexer = await world.startIndexer({ DATABASE_SCHEMA: "anew" });
  await until("the views show the new schema", async () => {
    const [row] = await world.database
      .sql`select 1 from pg_tables where schemaname = 'anew' and tablename = 'event'`;
    if (row === undefined) return false;
    const [ready] = await world.database
      .sql`select 1 from anew._ponder_meta where value ->> 'is_ready' = '1'`;
    return ready !== undefined;
  });
  const after = await stateHash(world.database.sql, "full");
  expect(compareStates(before, after)).toEqual([]);
  expect(after.hash).toBe(before.hash);
  await world.database.db
    .insert(carried)
    .values({ epochId: 1n, modelId: await baseModel(sender), amountWei: 7n });
  const changed = await stateHash(world.database.sql, "full");
  expect(compareStates(before, changed)).toEqual([
    expect.stringMatching(/^settlement\.carried: 0 rows .* ≠ 1 rows/),
  ]);
});

/** Addresses of the expected side; Ponder decodes them in lower case. */
function lowerCased<T>(value: T): T {
  const toText = (_: string, inner: unknown) => (typeof inner === "bigint" ? `${inner}n` : inner);
  const text = JSON.stringify(value, toText).replace(/0x[0-9a-fA-F]{40}(?=")/g, (found) =>
    found.toLowerCase(),
  );
  return JSON.parse(text, (_, inner) =>
    typeof inner === "string" && /^\d+n$/.test(inner) ? BigInt(inner.slice(0, -1)) : inner,
  );
}

/** Signing domains and the admins of the Timelock's roles are fixed, a DAO needs no queue, this OPEN wraps nothing. */
const neverHappen = [
  /:EIP712DomainChanged$/,
  /^Timelock:RoleAdminChanged$/,
  /^DatanetDao:ProposalQueued$/,
  /^OpenToken:(Deposit|Withdrawal)$/,
];

const indexedNames = Object.keys(indexedAbis) as IndexedName[];
