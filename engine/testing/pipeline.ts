/** A chain with one Datanet, one model and one funded channel, indexed and final; disperser, node and engine on top. All real. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { bytesToHex, type Hex, zeroAddress, zeroHash } from "viem";
import type { PrivateKeyAccount } from "viem/accounts";
import { privateKeyToAccount } from "viem/accounts";
import { type DevelopmentDisperser, startDevelopmentDisperser } from "#eigenda/dev/disperser";
import { DisperserClient, developmentSrs, type Srs } from "#eigenda/index";
import { readConfig as readEngineConfig } from "#engine/config";
import { runEngine } from "#engine/engine";
import { hashArtifact } from "#runtime/index";
import { finalBlock } from "#schema/finality";
import { devAccount, until } from "#schema/testing/stack";
import { readConfig as readServingConfig } from "#serving/config";
import { runNode } from "#serving/node";
import * as voucher from "#serving/payment/voucher";
import * as contribution from "#settlement/blob/contribution";
import * as payload from "#settlement/blob/payload";
import {
  channelConfig,
  contributor,
  fund,
  label,
  newSender,
  node as nodeIndex,
  owner,
  payer,
  type Sender,
  scopeOf,
  token,
  validator,
} from "../../indexer/test/life.ts";
import { openWorld, type World } from "../../indexer/test/world.ts";

/** anvil's development account that serves. */
export const nodeKey: Hex = bytesToHex(devAccount(nodeIndex).getHdKey().privateKey!);
export const eigendaKey: Hex = label("pipeline test: eigenda key");
export const feeWei = token;
export const modelFolder = resolve(import.meta.dirname, "../../runtime/models/quote");
/** Kept between runs: making it takes seconds. */
const srsFolder = join(tmpdir(), "tributary-test-srs");
/** Ponder calls a block final once its head is twice 30 blocks above. */
const finalBlocks = 70;

export const texts = [
  "The harbour master keeps a ledger of every ship that enters after sunset.",
  "A lantern on the north pier burns green while the channel is open.",
  "Fishermen mend their nets on Thursday because the market is closed then.",
  "The old crane lifts at most nine tonnes when the tide is low.",
  "Salt is stored in the stone barn behind the customs house.",
  "Every pilot carries a brass whistle and a copy of the tide table.",
];

export type Pipeline = Awaited<ReturnType<typeof openPipeline>>;

export async function openPipeline() {
  await using parts = new AsyncDisposableStack();
  const world = parts.use(await openWorld());
  await mkdir(srsFolder, { recursive: true });
  const srs = await developmentSrs({ folder: srsFolder });
  const disperser = parts.use(
    await startDevelopmentDisperser({ dataFolder: join(world.folder, "blobs"), stepMs: 10 }),
  );
  const sender = newSender(world.rpcUrl, world.deployment);
  const node = privateKeyToAccount(nodeKey);
  await fund(sender);
  await openDatanet(sender);
  const modelId = await registerModel(sender);
  const pipeline = {
    world,
    sender,
    disperser,
    srs,
    node,
    modelId,
    environment: environmentOf(world, disperser, modelId),
  };
  await contribute(pipeline, contributor, texts);
  const channelId = await openChannel(pipeline, 1);
  parts.use(await world.startIndexer());
  await finalise(world);
  const owned = parts.move();
  return { ...pipeline, channelId, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function environmentOf(world: World, disperser: DevelopmentDisperser, modelId: Hex): Record<string, string> {
  return {
    ...world.environment,
    DISPERSER_URL: disperser.url,
    SRS_FOLDER: srsFolder,
    ARCHIVE_FOLDER: join(world.folder, "archive"),
    EIGENDA_KEY: eigendaKey,
    MODEL_FOLDER: modelFolder,
    ENGINE_FOLDER: join(world.folder, "engine"),
    ADAPTABLE_MODULES: "q_proj,v_proj",
    MODEL_ID: modelId,
    MODEL_ALIASES: "quote",
    NODE_KEY: nodeKey,
    SERVING_PORT: "0",
    METRICS_PORT: "0",
    BATCH_RECEIPTS: "2",
    BATCH_AGE_MS_MAX: "0",
    CLOCK: "fixed:1700000000",
  };
}

/** The next Datanet, whose id is `id`: its owner's, with stakes of contributor and validator. */
export async function openDatanet({ send, ...rest }: Sender, id = 1n): Promise<void> {
  const params = {
    minContributorStake: token,
    minValidatorStake: token,
    votingPeriodSeconds: 100n,
    quorumBps: 5_000,
    slashBps: 1_000,
    ownerBps: 1_000,
    validatorBps: 500,
  };
  await send(owner, "datanetRegistry", "createDatanet", [label("harbour"), "", params]);
  const scope = await scopeOf({ send, ...rest }, id);
  for (const index of [contributor, validator])
    await send(index, "stakeVault", "stake", [scope, 10n * token]);
  await rest.warp(2);
}

async function registerModel({ send }: Sender): Promise<Hex> {
  const params = {
    artifactHash: await hashArtifact(modelFolder),
    configHash: zeroHash,
    trainingDataRoot: zeroHash,
    tokenizerHash: zeroHash,
    ownerBps: 10_000,
    provenanceMode: 0,
    pricePerCall: feeWei,
    uri: "",
  };
  const registered = await send(owner, "modelRegistry", "registerModel", ["quote", 0, params, []]);
  const modelId = registered.logs[0]!.topics[1]!;
  await send(owner, "modelRegistry", "useDatanet", [modelId, 1n, zeroHash, zeroHash]);
  const operator = devAccount(nodeIndex).address;
  await send(nodeIndex, "modelRegistry", "registerServingNode", [operator, zeroHash, "http://127.0.0.1"]);
  return modelId;
}

type Contributing = { sender: Sender; disperser: DevelopmentDisperser; srs: Srs };

/** Disperse, submit, vote and resolve one contribution of these texts. Returns its id. */
export async function contribute(
  contributing: Contributing,
  from: number,
  chunkTexts: readonly string[],
  datanetId = 1n,
): Promise<bigint> {
  return submitContribution(contributing.sender, from, {
    ...(await disperseTexts(contributing, chunkTexts)),
    datanetId,
  });
}

/** The same up to the submission: nobody has voted yet. */
export async function submitPending(
  contributing: Contributing,
  from: number,
  chunkTexts: readonly string[],
): Promise<bigint> {
  return submit(contributing.sender, from, await disperseTexts(contributing, chunkTexts));
}

async function disperseTexts(
  { disperser, srs }: Contributing,
  chunkTexts: readonly string[],
): Promise<Submitted> {
  const chunks = chunkTexts.map((text, i) => ({ source: `harbour.md#${i}`, text }));
  const bytes = contribution.encode({ license: "MIT", chunks });
  await using client = new DisperserClient({
    url: disperser.url,
    accountKey: eigendaKey,
    chainId: 31_337n,
    srs,
    pollMs: 20,
  });
  const { certificate } = await client.disperse(bytes);
  return {
    dataRoot: contribution.dataRoot(chunks),
    items: chunks.length,
    contentHash: payload.contentHash(bytes),
    daCommitment: bytesToHex(certificate),
  };
}

/** To the first Datanet, if none is given. */
type Submitted = {
  dataRoot: Hex;
  items: number;
  contentHash: Hex;
  daCommitment: Hex;
  datanetId?: bigint;
};

async function submit({ send, read }: Sender, from: number, given: Submitted): Promise<bigint> {
  const license = contribution.licenseHash("MIT");
  const args = [
    given.datanetId ?? 1n,
    given.dataRoot,
    given.items,
    given.contentHash,
    license,
    given.daCommitment,
  ];
  await send(from, "datanetRegistry", "submitContribution", args);
  return read<bigint>("datanetRegistry", "batchCount");
}

export async function submitContribution(sender: Sender, from: number, given: Submitted): Promise<bigint> {
  const { send, warp } = sender;
  const id = await submit(sender, from, given);
  await send(validator, "datanetRegistry", "vote", [id, true, 9_000]);
  await warp(101);
  await send(owner, "datanetRegistry", "resolve", [id]);
  return id;
}

/** Open a channel of 100 tokens that our node may settle. */
export async function openChannel(
  { sender, node }: { sender: Sender; node: PrivateKeyAccount },
  salt: number,
): Promise<Hex> {
  const config = {
    ...channelConfig(sender, salt),
    receiverAuthorizer: node.address,
    payerAuthorizer: zeroAddress,
  };
  await sender.send(payer, "channelEscrow", "openChannel", [config, 100n * token]);
  return sender.read<Hex>("channelEscrow", "getChannelId", [config]);
}

/** Mine until what stands now is final, for the chain and for the indexer. */
export async function finalise({ client, database, caughtUp }: World): Promise<void> {
  const target = await client.getBlockNumber({ cacheTime: 0 });
  await client.mine({ blocks: finalBlocks });
  await caughtUp();
  await until(
    `block ${target} is final`,
    async () => {
      const final = await finalBlock({ db: database.db, client });
      if (final !== undefined && final.blockNumber >= target) return true;
      await client.mine({ blocks: 1 });
      return false;
    },
    60_000,
  );
}

export type Running = AsyncDisposable & { url: string; log: string[] };

/** The node in this process. */
export function startNode(
  { environment }: Pick<Pipeline, "environment">,
  overrides: Record<string, string> = {},
): Promise<Running> {
  const config = readServingConfig({ ...environment, ...overrides });
  return start((log, signal, ready) => runNode(config, log, signal, ready));
}

/** The engine in this process. */
export function startEngine(
  { environment }: Pick<Pipeline, "environment">,
  overrides: Record<string, string> = {},
): Promise<Running> {
  const config = readEngineConfig({ ...environment, ...overrides });
  return start((log, signal, ready) => runEngine(config, log, signal, ready));
}

type Run = (log: Log, signal: AbortSignal, ready: (url: string) => void) => Promise<void>;
type Log = Parameters<typeof runNode>[1];

async function start(run: Run): Promise<Running> {
  const stop = new AbortController();
  const lines: string[] = [];
  const log: Log = {
    info: (message, fields) =>
      lines.push(`info ${message} ${JSON.stringify(fields, (_, v) => (typeof v === "bigint" ? `${v}` : v))}`),
    error: (message, error) =>
      lines.push(`error ${message}: ${error instanceof Error ? error.stack : error}`),
  };
  const listening = Promise.withResolvers<string>();
  const ended = run(log, stop.signal, listening.resolve);
  ended.catch(listening.reject);
  const url = await listening.promise;
  return {
    url,
    log: lines,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
    },
  };
}

/** Header value of a voucher of the payer over `maxWei`. */
export async function signVoucher(
  { world }: Pick<Pipeline, "world">,
  channelId: Hex,
  maxWei: bigint,
): Promise<string> {
  const bare = { channelId, maxClaimableWei: maxWei };
  const escrow = world.deployment.contracts.channelEscrow;
  const signature = await devAccount(payer).signTypedData(voucher.typedData(escrow, 31_337n, bare));
  return voucher.encode({ ...bare, signature });
}

/** Ask a question, paid by a voucher over `maxWei`. */
export async function ask(
  pipeline: Pick<Pipeline, "world">,
  url: string,
  options: Asking,
): Promise<Response> {
  const header = await signVoucher(pipeline, options.channelId, options.maxWei);
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-payment-voucher": header },
    body: JSON.stringify({
      model: "quote",
      messages: [{ role: "user", content: options.question }],
      ...options.body,
    }),
  });
}

export type Asking = { channelId: Hex; maxWei: bigint; question: string; body?: object };

export type Stage = {
  url: string;
  pid: number;
  end: (signal: NodeJS.Signals) => Promise<number | NodeJS.Signals>;
};

/** A stage as a process of its own, once it says that it is ready. */
export async function spawnStage(
  { environment }: Pick<Pipeline, "environment">,
  main: "engine/main.ts" | "serving/main.ts",
): Promise<Stage> {
  const path = resolve(import.meta.dirname, "../..", main);
  const child = spawn(process.execPath, [path], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = once(child, "exit").then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals);
  const [line] = await Promise.race([
    once(createInterface(child.stdout), "line"),
    exited.then((code) => [`ended with ${code}`]),
  ]);
  const ready = JSON.parse(String(line)) as { ready: boolean; url: string };
  return {
    url: ready.url,
    pid: child.pid!,
    end: (signal) => {
      child.kill(signal);
      return exited;
    },
  };
}
