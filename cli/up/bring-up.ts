import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { PipelineError } from "#schema/errors";
import { migrate } from "#schema/migrate";
import type { Config, Ports } from "../config.ts";
import { bootstrap, deployContracts } from "./bootstrap.ts";
import { type ChainOptions, chainService, isChain, produceBlocks, request, saveChain } from "./chain.ts";
import type { Log } from "./log.ts";
import { expectFreePort } from "./ports.ts";
import { answers, createDatabase, postgresService, postgresUrl } from "./postgres.ts";
import { endLeftovers } from "./processes.ts";
import { disperserService, stageServices } from "./services.ts";
import { type Pace, resolveStack, type Stack } from "./stack.ts";
import { Supervisor } from "./supervisor.ts";

/** A system that runs. Disposing it stops every process in reverse order and saves the chain. */
export type Running = { stack: Stack; supervisor: Supervisor; [Symbol.asyncDispose](): Promise<void> };

type Options = {
  config: Config;
  folder: string;
  ports: Ports;
  pace: Pace;
  datanetNames: readonly string[];
  log: Log;
  /** Called with the supervisor before anything starts, so that a signal in the middle of a start can stop it. */
  onSupervisor: (supervisor: Supervisor) => void;
};

/** Blocks mined after the bootstrap, before anyone indexes: makes it final for Ponder, which trails by 30 blocks. */
const bootstrapFinalBlocks = 64;

/**
 * Brings everything up in the order of the chain of work and returns once all of it serves. A second start on the
 * same folder continues from its data.
 * @throws PipelineError saying what is missing or in the way, and the remedy. What had started is stopped again.
 */
export async function bringUp(options: Options): Promise<Running> {
  const { config, folder, ports, pace, log, onSupervisor } = options;
  mkdirSync(folder, { recursive: true });
  const processesPath = join(folder, "processes.json");
  for (const { name, pid } of await endLeftovers(processesPath))
    log(name, `ended a leftover of a killed run (pid ${pid})`);
  await checkPorts(config, ports);
  const stack = await resolveStack(config, folder, ports, pace);
  checkData(stack);
  await using resources = new AsyncDisposableStack();
  const supervisor = resources.use(new Supervisor(processesPath, log));
  onSupervisor(supervisor);
  await startDatabase(stack, supervisor);
  resources.use(await startChain(stack, supervisor, options));
  if (config.disperserUrl === undefined) await supervisor.start(disperserService(stack));
  await migrate(stack.databaseUrl);
  const [indexer, ...others] = stageServices(stack);
  await supervisor.start(indexer!); // The others read its tables; among themselves they wait for nobody.
  await Promise.all(others.map((service) => supervisor.start(service)));
  const running = resources.move();
  return { stack, supervisor, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** @throws PortInUseError naming the first that is taken, of those we listen on ourselves. */
export async function checkPorts(config: Config, ports: Ports): Promise<void> {
  const checks: [keyof Ports, string, string, boolean][] = [
    ["postgres", "the database", "POSTGRES_PORT", config.databaseUrl === undefined],
    ["chain", "the chain", "RPC_PORT", config.rpcUrl === undefined],
    ["disperser", "the disperser", "DISPERSER_PORT", config.disperserUrl === undefined],
    ["indexer", "the indexer", "INDEXER_PORT", true],
    ["engine", "the engine's metrics", "ENGINE_METRICS_PORT", true],
    ["serving", "the OpenAI API", "SERVING_PORT", true],
    ["settlement", "settlement's metrics", "SETTLEMENT_METRICS_PORT", true],
    ["api", "the GraphQL API", "API_PORT", true],
  ];
  for (const [name, title, setting, isOurs] of checks)
    if (isOurs) await expectFreePort(ports[name], title, setting);
}

/** Database and chain belong together: a lost chain would leave rows of blocks that no longer exist. */
function checkData({ config, folder, postgres, statePath }: Stack): void {
  if (config.rpcUrl !== undefined || !postgres || existsSync(statePath)) return;
  if (existsSync(join(folder, "addresses.json"))) throw new ChainStateMissingError(statePath);
}

async function startDatabase(
  { config, postgres, ports, pace, databaseUrl }: Stack,
  supervisor: Supervisor,
): Promise<void> {
  if (!postgres) {
    if (!(await answers(databaseUrl))) throw new DatabaseUnreachableError(config.databaseUrl!);
    return;
  }
  await supervisor.start(postgresService(postgres, ports.postgres, pace.durability));
  await createDatabase(postgresUrl(postgres, ports.postgres, "postgres"), "tributary");
}

/** The chain, our contracts on it and what they need before the first answer. A chain of yours must have them. */
async function startChain(
  stack: Stack,
  supervisor: Supervisor,
  { datanetNames, log }: Options,
): Promise<AsyncDisposable> {
  const { config, rpcUrl, statePath, ports, pace } = stack;
  if (config.rpcUrl !== undefined) {
    if (!(await isChain(rpcUrl))) throw new ChainUnreachableError(rpcUrl);
    if (config.addressesFile === undefined) throw new AddressesMissingError();
    return { [Symbol.asyncDispose]: async () => undefined };
  }
  const { blockSeconds, saveMs } = pace;
  const options: ChainOptions = { port: ports.chain, statePath, blockSeconds, saveMs };
  mkdirSync(dirname(statePath), { recursive: true });
  await supervisor.start(chainService(options));
  const isNew = !existsSync(stack.addressesFile);
  log(
    "chain",
    'development keys: keccak256("tributary development key: <label>"); they hold nothing elsewhere',
  );
  {
    // Saved once it is whole: a start that is killed before that begins anew.
    await using _ = produceBlocks({ ...options, saveMs: Number.POSITIVE_INFINITY }, log);
    await deployContracts(stack);
    await bootstrap(stack, datanetNames);
  }
  if (isNew) await request(rpcUrl, "anvil_mine", [`0x${bootstrapFinalBlocks.toString(16)}`]);
  await saveChain(rpcUrl, statePath);
  return produceBlocks(options, log);
}

export class ChainStateMissingError extends PipelineError {
  override readonly name = "ChainStateMissingError";
  constructor(statePath: string) {
    super(
      `${statePath} is missing, but its database is there. Restore the file, or remove the folder to start afresh.`,
      {
        code: "chain_state_missing",
        retryable: false,
      },
    );
  }
}

export class DatabaseUnreachableError extends PipelineError {
  override readonly name = "DatabaseUnreachableError";
  constructor(url: string) {
    super(
      `No PostgreSQL answers at ${url.replace(/:[^:@/]+@/, ":…@")}. Start it, or unset DATABASE_URL to use the embedded one.`,
      {
        code: "database_unreachable",
        retryable: true,
      },
    );
  }
}

export class ChainUnreachableError extends PipelineError {
  override readonly name = "ChainUnreachableError";
  constructor(url: string) {
    super(`No chain answers at ${url}. Start the node, or unset RPC_URL to use the development chain.`, {
      code: "chain_unreachable",
      retryable: true,
    });
  }
}

export class AddressesMissingError extends PipelineError {
  override readonly name = "AddressesMissingError";
  constructor() {
    super(
      "RPC_URL needs ADDRESSES_FILE: where the contracts stand on that chain, as contracts/deploy.ts writes it.",
      {
        code: "addresses_missing",
        retryable: false,
      },
    );
  }
}
