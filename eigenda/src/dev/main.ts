/**
 * The development disperser as a process.
 * Stdout: one JSON line when ready, `{"ready":true,"url","port","chainId"}`. Stderr: the log. SIGTERM, SIGINT: clean exit.
 */
import { parseArgs } from "node:util";
import { getAddress } from "viem";
import { developmentChainId, startDevelopmentDisperser } from "./disperser.ts";
import { type FaultName, faultNames } from "./faults.ts";

const usage = `eigenda development disperser
  --data-dir <folder>   blobs and statuses (required)
  --port <port>         default 0: the system chooses
  --step-ms <ms>        time between two states of a blob, default 500
  --chain-id <id>       default ${developmentChainId}
  --account <address>   account with a reservation, repeatable; default: everyone
  --non-signer          the smallest operator never signs
  --fault <name>        ${faultNames.join(", ")}; repeatable`;

const options = readOptions();
if (options === null) {
  console.error(usage);
  process.exitCode = 2;
} else {
  await run(options).catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}

async function run(given: NonNullable<ReturnType<typeof readOptions>>): Promise<void> {
  const log = (message: string) => console.error(message);
  const disperser = await startDevelopmentDisperser({ ...given, log });
  const { url, port } = disperser;
  console.log(JSON.stringify({ ready: true, url, port, chainId: Number(given.chainId) }));
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      log(`Stopping on ${signal}.`);
      void disperser[Symbol.asyncDispose]();
    });
  }
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      "data-dir": { type: "string" },
      port: { type: "string", default: "0" },
      "step-ms": { type: "string", default: "500" },
      "chain-id": { type: "string", default: String(developmentChainId) },
      account: { type: "string", multiple: true },
      "non-signer": { type: "boolean", default: false },
      fault: { type: "string", multiple: true, default: [] },
    },
  });
  const numbers = [values.port, values["step-ms"], values["chain-id"]];
  const isFault = (name: string): name is FaultName => (faultNames as readonly string[]).includes(name);
  if (
    values["data-dir"] === undefined ||
    !numbers.every((text) => /^\d+$/.test(text)) ||
    !values.fault.every(isFault)
  )
    return null;
  return {
    dataFolder: values["data-dir"],
    port: Number(values.port),
    stepMs: Number(values["step-ms"]),
    chainId: BigInt(values["chain-id"]),
    hasNonSigner: values["non-signer"],
    faults: new Set(values.fault.filter(isFault)),
    ...(values.account && { accounts: values.account.map((account) => getAddress(account)) }),
  };
}
