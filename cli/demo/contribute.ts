import { type Address, type Hex, parseEther } from "viem";
import { DisperserClient, developmentSrs } from "#eigenda/index";
import { datanetRegistryAbi } from "#schema/abi/datanet-registry";
import { stakeVaultAbi } from "#schema/abi/stake-vault";
import * as contribution from "#settlement/blob/contribution";
import * as payload from "#settlement/blob/payload";
import { type Call, type Chain, reach } from "../chain/transactions.ts";
import { giveGas } from "../up/bootstrap.ts";
import { developmentKey } from "../up/keys.ts";
import { accountOf, type Stack } from "../up/stack.ts";
import type { Submission } from "./documents.ts";

/** A submission with its bytes. `quality` is what the validators will say of it. */
export type Prepared = Submission & {
  datanetId: bigint;
  account: ReturnType<typeof accountOf>;
  chunks: { source: string; text: string }[];
  bytes: Uint8Array;
  contentHash: Hex;
  dataRoot: Hex;
  quality: number;
};

/** A submission as the chain has it. */
export type OnChain = Prepared & { batchId: bigint };

const validatorStakes = [100n, 70n, 40n].map((open) => parseEther(open.toString()));
const contributorStake = parseEther("1");
/** Quality in basis points: 10 for each character not submitted before. Below the least, validators refuse. */
const qualityPerCharacter = 10;
const qualityMax = 10_000;
const qualityMin = 1_500;
/** Blobs dispersed at a time. */
const dispersalsMax = 6;

/** Names the accounts, encodes the payloads and judges them. Pure but for the derivation of keys. */
export function prepare(submissions: readonly Submission[], datanetNames: readonly string[]): Prepared[] {
  const seen = new Set<string>();
  return submissions.map((submission) => {
    const { license, documents, contributor } = submission;
    const chunks = documents.flatMap(({ path, chunks: texts }) =>
      texts.map((text) => ({ source: path, text })),
    );
    const bytes = contribution.encode({ license, chunks });
    return {
      ...submission,
      datanetId: BigInt(datanetNames.indexOf(submission.datanet) + 1),
      account: accountOf(`contributor ${contributor}`),
      chunks,
      bytes,
      contentHash: payload.contentHash(bytes),
      dataRoot: contribution.dataRoot(chunks),
      quality: judge(
        chunks.map(({ text }) => text),
        seen,
      ),
    };
  });
}

export function isAcceptable({ quality }: Prepared): boolean {
  return quality >= qualityMin;
}

/** Stakes for validators and contributors, then one submission after the other in their order. */
export async function contribute(
  chain: Chain,
  stack: Stack,
  prepared: readonly Prepared[],
): Promise<OnChain[]> {
  await giveGas(stack.rpcUrl, [
    ...validatorLabels(),
    ...prepared.map(({ contributor }) => `contributor ${contributor}`),
  ]);
  await reach(chain, "stake for validators and contributors", () => missingStakes(chain, prepared));
  const certificates = new Map<Hex, Hex>();
  await reach(chain, "submit the contributions", async () => {
    const known = new Set((await readSubmitted(chain)).map(keyOf));
    const missing = prepared.filter(
      ({ account, contentHash }) => !known.has(keyOf({ contributor: account.address, contentHash })),
    );
    const unsent = missing.filter(({ contentHash }) => !certificates.has(contentHash));
    if (unsent.length > 0) await disperse(chain, stack, unsent, certificates);
    return missing.map((one) => submission(chain, one, certificates.get(one.contentHash)!));
  });
  return matchSubmitted(await readSubmitted(chain), prepared);
}

/** Disperses the payloads and adds their certificates, by content hash, as they come. */
async function disperse(
  chain: Chain,
  stack: Stack,
  prepared: readonly Prepared[],
  certificates: Map<Hex, Hex>,
): Promise<void> {
  await using disperser = new DisperserClient({
    url: stack.disperserUrl,
    accountKey: developmentKey("eigenda"),
    chainId: BigInt(chain.deployment.chainId),
    srs: await developmentSrs({ folder: stack.srsFolder }),
  });
  await inTurns(prepared, dispersalsMax, async ({ bytes, contentHash }) => {
    const { certificate } = await disperser.disperse(bytes);
    certificates.set(contentHash, `0x${Buffer.from(certificate).toString("hex")}`);
  });
}

/** Every validator votes for what is good enough and against the rest; then each vote is closed. */
export async function voteAndResolve(chain: Chain, submitted: readonly OnChain[]): Promise<void> {
  const registry = { to: chain.deployment.contracts.datanetRegistry, abi: datanetRegistryAbi };
  await reach(chain, "vote", async () => {
    const voted = await chain.client.getContractEvents({
      address: registry.to,
      abi: datanetRegistryAbi,
      eventName: "ValidationVote",
      fromBlock: 0n,
    });
    const known = new Set(voted.map(({ args }) => `${args.batchId}:${args.validator}`));
    return submitted.flatMap((one) =>
      validatorLabels()
        .map(accountOf)
        .flatMap((account): Call[] =>
          known.has(`${one.batchId}:${account.address}`)
            ? []
            : [
                {
                  ...registry,
                  account,
                  functionName: "vote",
                  args: [one.batchId, isAcceptable(one), one.quality],
                },
              ],
        ),
    );
  });
  await reach(chain, "resolve", async () => {
    const states = await Promise.all(submitted.map(({ batchId }) => readState(chain, batchId)));
    return submitted
      .filter((_, index) => states[index] === 1)
      .map(({ batchId }) => ({
        ...registry,
        account: accountOf("bot"),
        functionName: "resolve",
        args: [batchId],
      }));
  });
}

/** The contributor takes the contribution back; what it earns from then on is withheld. */
export async function retract(chain: Chain, one: OnChain): Promise<void> {
  await reach(chain, "retract", async () => {
    if ((await readState(chain, one.batchId)) === 5) return [];
    const reason = payload.contentHash(Buffer.from("withdrawn by its author", "utf8"));
    const { datanetRegistry: to } = chain.deployment.contracts;
    return [
      {
        account: one.account,
        to,
        abi: datanetRegistryAbi,
        functionName: "retract",
        args: [one.batchId, reason],
      },
    ];
  });
}

/** State of a contribution: 1 Pending, 2 Accepted, 3 Rejected, 4 Lapsed, 5 Retracted. */
export async function readState(chain: Chain, batchId: bigint): Promise<number> {
  const address = chain.deployment.contracts.datanetRegistry;
  const call = { address, abi: datanetRegistryAbi, functionName: "batchOf", args: [batchId] } as const;
  return (await chain.client.readContract(call)).state;
}

/** Quality of texts, of which `seen` were submitted before; adds them to `seen`. */
function judge(texts: readonly string[], seen: Set<string>): number {
  const fresh = texts.filter((text) => !seen.has(text));
  for (const text of texts) seen.add(text);
  const characters = fresh.reduce((sum, text) => sum + text.length, 0);
  return Math.min(qualityMax, characters * qualityPerCharacter);
}

function validatorLabels(): string[] {
  return validatorStakes.map((_, index) => `validator ${index + 1}`);
}

async function missingStakes(chain: Chain, prepared: readonly Prepared[]): Promise<Call[]> {
  const { stakeVault, datanetRegistry } = chain.deployment.contracts;
  const calls: Call[] = [];
  for (const datanetId of new Set(prepared.map((one) => one.datanetId))) {
    const scope = await chain.client.readContract({
      address: datanetRegistry,
      abi: datanetRegistryAbi,
      functionName: "scopeOf",
      args: [datanetId],
    });
    const contributors = new Set(
      prepared.filter((one) => one.datanetId === datanetId).map(({ account }) => account.address),
    );
    const wanted: [Address, bigint][] = [
      ...validatorLabels().map((label, index): [Address, bigint] => [
        accountOf(label).address,
        validatorStakes[index]!,
      ]),
      ...[...contributors].map((address): [Address, bigint] => [address, contributorStake]),
    ];
    const staked = await Promise.all(wanted.map(([address]) => readStakeWei(chain, scope, address)));
    for (const [index, [address, stakeWei]] of wanted.entries()) {
      if (staked[index]! > 0n) continue;
      calls.push({
        account: accountOf("deployer"),
        to: stakeVault,
        abi: stakeVaultAbi,
        functionName: "stakeFor",
        args: [scope, address, stakeWei],
      });
    }
  }
  return calls;
}

async function readStakeWei(chain: Chain, scope: Hex, address: Address): Promise<bigint> {
  const vault = { address: chain.deployment.contracts.stakeVault, abi: stakeVaultAbi } as const;
  const [stakeWei] = await chain.client.readContract({
    ...vault,
    functionName: "stakeOf",
    args: [scope, address],
  });
  return stakeWei;
}

type Submitted = { contributor: Address; contentHash: Hex; batchId: bigint };

async function readSubmitted(chain: Chain): Promise<Submitted[]> {
  const logs = await chain.client.getContractEvents({
    address: chain.deployment.contracts.datanetRegistry,
    abi: datanetRegistryAbi,
    eventName: "ContributionSubmitted",
    fromBlock: 0n,
    strict: true,
  });
  return logs.map(({ args: { contributor, contentHash, batchId } }) => ({
    contributor,
    contentHash,
    batchId,
  }));
}

function matchSubmitted(submitted: readonly Submitted[], prepared: readonly Prepared[]): OnChain[] {
  const byKey = new Map(submitted.map((one) => [keyOf(one), one.batchId]));
  return prepared.flatMap((one) => {
    const batchId = byKey.get(keyOf({ contributor: one.account.address, contentHash: one.contentHash }));
    return batchId === undefined ? [] : [{ ...one, batchId }];
  });
}

function keyOf({ contributor, contentHash }: { contributor: Address; contentHash: Hex }): string {
  return `${contributor.toLowerCase()}:${contentHash}`;
}

function submission(chain: Chain, one: Prepared, certificate: Hex): Call {
  const { account, datanetId, dataRoot, chunks, contentHash, license } = one;
  return {
    account,
    to: chain.deployment.contracts.datanetRegistry,
    abi: datanetRegistryAbi,
    functionName: "submitContribution",
    args: [datanetId, dataRoot, chunks.length, contentHash, contribution.licenseHash(license), certificate],
  };
}

/** Runs `work` for every item, at most `most` at a time. */
async function inTurns<T>(
  items: readonly T[],
  most: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: most }, worker));
}
