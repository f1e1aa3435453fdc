import { readFileSync } from "node:fs";
import { type Address, type Hex, isAddress } from "viem";
import { z } from "zod";
import type { DeployConfig } from "./deployment-plan.ts";

const address = z.custom<Address>((value) => typeof value === "string" && isAddress(value), "not an address");
const wei = z
  .string()
  .regex(/^\d+$/, "not an integer of wei, as text")
  .transform((text) => BigInt(text));
/** Up to 136 years: contracts keep times in 40 bits and more. */
const seconds = z.int().min(0).max(0xffff_ffff);
/** As the ledger and the vault bound them. */
const period = z
  .int()
  .min(1)
  .max(365 * 86_400);
const bps = z.int().min(0).max(10_000);

const configFile = z.strictObject({
  nodeBps: bps,
  treasuryBps: bps,
  treasury: address,
  poster: address,
  arbiter: address,
  guardian: address,
  challengeWindowSeconds: period,
  arbitrationTimeoutSeconds: period,
  bondAmountWei: wei,
  unstakeCooldownSeconds: period,
  nodeStakeMinWei: wei,
  faultBondWei: wei,
  answerWindowSeconds: seconds,
  votingDelaySeconds: seconds,
  votingPeriodSeconds: seconds,
  timelockDelaySeconds: seconds,
  openKind: z.enum(["minted", "wrapped"]).default("minted"),
  daCertAnchor: address.optional(),
  messenger: address.optional(),
});

const environment = z.object({
  RPC_URL: z.url(),
  DEPLOYER_KEY: z
    .string()
    .regex(/^0x[0-9a-f]{64}$/, "not a private key")
    .transform((value) => value as Hex),
  DEPLOY_CONFIG: z.string().min(1),
  ADDRESSES_FILE: z.string().min(1),
});

export type Config = { rpcUrl: string; deployerKey: Hex; addressesFile: string; deployment: DeployConfig };

/** Reads the environment and the file it names once. @throws ZodError naming what is missing or malformed. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const e = environment.parse(env);
  const { daCertAnchor, messenger, ...given } = configFile.parse(
    JSON.parse(readFileSync(e.DEPLOY_CONFIG, "utf8")),
  );
  const deployment = { ...given, ...(daCertAnchor && { daCertAnchor }), ...(messenger && { messenger }) };
  return Object.freeze({
    rpcUrl: e.RPC_URL,
    deployerKey: e.DEPLOYER_KEY,
    addressesFile: e.ADDRESSES_FILE,
    deployment,
  });
}
