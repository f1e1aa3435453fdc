import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { bytesToHex, type Hex, type LocalAccount, zeroHash } from "viem";
import { DisperserClient, developmentSrs } from "#eigenda/index";
import type { Package } from "#factory/package";
import { writeWhole } from "#factory/training";
import { modelRegistryAbi } from "#schema/abi/model-registry";
import { type Call, type Chain, reach } from "../chain/transactions.ts";

/** Who registers, and where the payload goes. `eigendaKey` pays for dispersal. */
export type Publisher = {
  chain: Chain;
  owner: LocalAccount;
  disperserUrl: string;
  srsFolder: string;
  eigendaKey: Hex;
};

export type Registration = {
  modelId: Hex;
  name: string;
  artifactHash: Hex;
  baseModelId: Hex;
  /** Part of the model's share its owner keeps; the rest is the base's. */
  ownerBps: number;
  pricePerCallWei: bigint;
  package: Package;
};

/** `kind` of a LoRA in the registry. */
const loraKind = 2;

/**
 * Disperse the payload, register the model under its base, say what it was trained on and what it retrieves from, and
 * where the payload lies. Sends what is missing, so that a second try after a crash ends the same; the certificate is
 * kept in `folder`.
 * @throws GoalOutOfReachError, TransactionFailedError, EigenDaError.
 */
export async function publish(publisher: Publisher, folder: string, of: Registration): Promise<void> {
  const certificate = await disperse(publisher, folder, of.package);
  const { chain } = publisher;
  await reach(chain, "register the model", async () =>
    (await logsOf(chain, "ModelRegistered", of.modelId)).length > 0
      ? []
      : [callOf(publisher, "registerModel", registerArgs(of))],
  );
  await reach(chain, "name what it was trained on", () => missingUses(publisher, of));
  await reach(chain, "publish the training manifest", async () => {
    const logs = await logsOf(chain, "TrainingManifestPublished", of.modelId);
    const { manifestHash } = of.package;
    const isThere = logs.some(({ args }) => (args as { manifestHash: Hex }).manifestHash === manifestHash);
    return isThere ? [] : [callOf(publisher, "publishManifest", [of.modelId, manifestHash, certificate])];
  });
}

async function disperse(
  { chain, disperserUrl, srsFolder, eigendaKey }: Publisher,
  folder: string,
  { bytes, manifestHash }: Package,
): Promise<Hex> {
  const path = join(folder, `${manifestHash}.certificate`);
  const kept = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (kept !== null) return bytesToHex(kept);
  await using disperser = new DisperserClient({
    url: disperserUrl,
    accountKey: eigendaKey,
    chainId: BigInt(chain.deployment.chainId),
    srs: await developmentSrs({ folder: srsFolder }),
  });
  const { certificate } = await disperser.disperse(bytes);
  await writeWhole(path, certificate);
  return bytesToHex(certificate);
}

function registerArgs({ name, artifactHash, baseModelId, ownerBps, pricePerCallWei }: Registration) {
  const params = {
    artifactHash,
    configHash: zeroHash,
    trainingDataRoot: zeroHash,
    tokenizerHash: zeroHash,
    ownerBps,
    provenanceMode: 0,
    pricePerCall: pricePerCallWei,
    uri: `tributary:adapter/${name}`,
  };
  return [name, loraKind, params, [{ modelId: baseModelId, weightBps: 10_000 }]];
}

/** Each Datanet twice: what was learned of it, by its root, and that answers are made from it, by none. */
async function missingUses(publisher: Publisher, of: Registration): Promise<Call[]> {
  const logs = await logsOf(publisher.chain, "DatanetUsed", of.modelId);
  const known = new Set(
    logs.map(({ args }) => {
      const { datanetId, snapshotRoot } = args as { datanetId: bigint; snapshotRoot: Hex };
      return `${datanetId} ${snapshotRoot}`;
    }),
  );
  const { snapshots, manifestHash } = of.package;
  const wanted = snapshots.flatMap(({ datanetId, snapshotRoot }) => [
    ...(snapshotRoot === zeroHash ? [] : [{ datanetId, snapshotRoot, manifestHash }]),
    { datanetId, snapshotRoot: zeroHash, manifestHash: zeroHash },
  ]);
  return wanted
    .filter(({ datanetId, snapshotRoot }) => !known.has(`${datanetId} ${snapshotRoot}`))
    .map((use) =>
      callOf(publisher, "useDatanet", [of.modelId, use.datanetId, use.snapshotRoot, use.manifestHash]),
    );
}

function logsOf(
  chain: Chain,
  eventName: "ModelRegistered" | "DatanetUsed" | "TrainingManifestPublished",
  modelId: Hex,
) {
  return chain.client.getContractEvents({
    address: chain.deployment.contracts.modelRegistry,
    abi: modelRegistryAbi,
    eventName,
    args: { modelId },
    fromBlock: 0n,
  });
}

function callOf({ chain, owner }: Publisher, functionName: string, args: readonly unknown[]): Call {
  const to = chain.deployment.contracts.modelRegistry;
  return { account: owner, to, abi: modelRegistryAbi, functionName, args };
}
