/**
 * The development disperser as a process.
 * Stdout: one JSON line when ready, `{"ready":true,"url","port","chainId"}`. Stderr: the log. SIGTERM, SIGINT: clean exit.
 */
import { parseArgs } from "node:util";
import { BaseError, getAddress } from "viem";
import { developmentChainId, startDevelopmentDisperser } from "./disperser.ts";
import { type FaultName, faultNames } from "./faults.ts";

const depositPattern = /^(0x[0-9a-fA-F]{40})=(\d+)$/;

const portMax = 65_535;

const usage = `eigenda development disperser
  --data-dir <folder>   blobs and statuses (required)
  --port <port>         default 0: the system chooses
  --step-ms <ms>        time between two states of a blob, default 500
  --chain-id <id>       default ${developmentChainId}
  --account <address>   account with a reservation, repeatable; default: everyone
  --deposit <address>=<wei>  pays on demand from this much, repeatable
  --non-signer          the smallest operator never signs
  --fault <name>        ${faultNames.join(", ")}; repeatable`;

/** Runs until it is told to stop; the exit code if it does not start. */
export async function devCommand(parameters: string[]): Promise<number | null> {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions(parameters);
  } catch (error) {
    console.error(
      `${error instanceof BaseError ? error.shortMessage : (error as Error).message}\n\n${usage}`,
    );
    return 2;
  }
  if (options === null) {
    console.error(usage);
    return 2;
  }
  try {
    await run(options);
    return null;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

async function run(given: NonNullable<ReturnType<typeof readOptions>>): Promise<void> {
  const log = (message: string) => console.error(message);
  const disperser = await startDevelopmentDisperser({ ...given, log });
  const { url, port } = disperser;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      log(`Stopping on ${signal}.`);
      void disperser[Symbol.asyncDispose]();
    });
  }
  // Last: who reads it may stop this process at once.
  console.log(JSON.stringify({ ready: true, url, port, chainId: Number(given.chainId) }));
}

/** @returns null where an option is missing or malformed. @throws TypeError ERR_PARSE_ARGS_*; viem's for no address. */
function readOptions(parameters: string[]) {
  const { values } = parseArgs({
    args: parameters,
    options: {
      "data-dir": { type: "string" },
      port: { type: "string", default: "0" },
      "step-ms": { type: "string", default: "500" },
      "chain-id": { type: "string", default: String(developmentChainId) },
      account: { type: "string", multiple: true },
      deposit: { type: "string", multiple: true, default: [] },
      "non-signer": { type: "boolean", default: false },
      fault: { type: "string", multiple: true, default: [] },
    },
  });
  const numbers = [values.port, values["step-ms"], values["chain-id"]];
  const isFault = (name: string): name is FaultName => (faultNames as readonly string[]).includes(name);
  if (
    values["data-dir"] === undefined ||
    !numbers.every((text) => /^\d+$/.test(text)) ||
    Number(values.port) > portMax ||
    !values.fault.every(isFault) ||
    !values.deposit.every((text) => depositPattern.test(text))
  )
    return null;
  return {
    dataFolder: values["data-dir"],
    port: Number(values.port),
    stepMs: Number(values["step-ms"]),
    chainId: BigInt(values["chain-id"]),
    deposits: new Map(
      values.deposit.map((text) => {
        const [, account, wei] = depositPattern.exec(text)!;
        return [getAddress(account!), BigInt(wei!)] as const;
      }),
    ),
    hasNonSigner: values["non-signer"],
    faults: new Set(values.fault.filter(isFault)),
    ...(values.account && { accounts: values.account.map((account) => getAddress(account)) }),
  };
}
