/**
 * Deploys on any chain: `node contracts/main.ts [--dry-run]`, with RPC_URL, DEPLOYER_KEY, DEPLOY_CONFIG (a JSON file of
 * the parameters, see config.ts) and ADDRESSES_FILE. Killed midway, it goes on where it was when run again.
 */
import { parseArgs } from "node:util";
import { privateKeyToAccount } from "viem/accounts";
import { readConfig } from "./config.ts";
import { deploy, dryRun } from "./deploy.ts";

const { values } = parseArgs({ options: { "dry-run": { type: "boolean", default: false } } });
const { rpcUrl, deployerKey, addressesFile, deployment: config } = readConfig();
const account = privateKeyToAccount(deployerKey);
if (values["dry-run"]) {
  const { steps } = await dryRun({ rpcUrl, deployer: account.address, config });
  for (const { name, address, gas } of steps)
    console.log(`${address}  ${name.padEnd(24)} ${gas === null ? "stands" : `${gas} gas`}`);
} else {
  const { contracts } = await deploy({ rpcUrl, account, config, addressesFile });
  for (const [name, address] of Object.entries(contracts)) console.log(`${address}  ${name}`);
}
