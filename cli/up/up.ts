import { readConfig } from "../config.ts";
import { recordPorts } from "../running.ts";
import { bringUp } from "./bring-up.ts";
import { terminalLog } from "./log.ts";
import { addresses } from "./services.ts";
import type { Pace } from "./stack.ts";
import type { Supervisor } from "./supervisor.ts";

/** Pace of a system left running, but for the block time, which the configuration gives. */
export const pace: Omit<Pace, "blockSeconds"> = {
  saveMs: 5_000,
  stepMs: 500,
  durability: "disk",
  challengeWindowSeconds: 60,
  batchReceipts: 8,
  batchAgeMsMax: 60_000,
  epochBatches: 4,
  epochAgeMsMax: 3_600_000,
  clock: "system",
};

const help = `npm start
  Starts the database, the chain, the EigenDA development disperser and every stage, and leaves them running.
  Ctrl-C stops all of it. Data in .tributary/ (TRIBUTARY_FOLDER); ports and other servers: cli/README.md.`;

/** Brings everything up and waits for Ctrl-C or SIGTERM. @returns 0 when stopped so, 1 when a process kept crashing. */
export async function run(args: string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(help);
    return 0;
  }
  const config = readConfig();
  const stopping = stopOnSignal();
  await stayUp({
    config,
    folder: config.folder,
    ports: config.ports,
    pace: { ...pace, blockSeconds: config.blockSeconds },
    datanetNames: ["libraries", "tools"],
    log: terminalLog(),
    stopping,
    examples: [],
  });
  return 0;
}

type Stay = Omit<Parameters<typeof bringUp>[0], "onSupervisor"> & {
  stopping: ReturnType<typeof stopOnSignal>;
  /** Commands to try, printed below the addresses. */
  examples: readonly string[];
};

/** Brings everything up, prints where it is, and returns once a signal has stopped it. @throws what stops it otherwise. */
export async function stayUp({ stopping, examples, ...options }: Stay): Promise<void> {
  const say = terminalLog();
  try {
    await using running = await bringUp({ ...options, onSupervisor: stopping.onSupervisor });
    using _ = recordPorts(options.folder, options.ports);
    for (const [name, address] of addresses(running.stack)) say("tributary", `${name.padEnd(16)} ${address}`);
    for (const example of examples) say("tributary", `${"try".padEnd(16)} ${example}`);
    say("tributary", "running; Ctrl-C stops everything");
    await Promise.race([stopping.signalled, running.supervisor.failed]);
  } catch (error) {
    if (!stopping.isSignalled()) throw error; // A start cut short fails somewhere; that is what was asked for.
  }
}

/** A signal during the start stops what has started; after it, `signalled` resolves and the caller stops all. */
export function stopOnSignal(): {
  signalled: Promise<void>;
  isSignalled: () => boolean;
  onSupervisor: (supervisor: Supervisor) => void;
} {
  const { promise, resolve } = Promise.withResolvers<void>();
  let supervisor: Supervisor | undefined;
  let isSignalled = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      isSignalled = true;
      resolve();
      void supervisor?.stop();
    });
  }
  return {
    signalled: promise,
    isSignalled: () => isSignalled,
    onSupervisor: (given) => {
      supervisor = given;
    },
  };
}
