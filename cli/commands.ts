import { ZodError } from "zod";
import { PipelineError } from "#schema/errors";
import { UsageError } from "./arguments.ts";

type Run = (args: string[]) => Promise<number>;
type Command = { about: string; load: () => Promise<{ run: Run }> };

/** Every command of the terminal, in the order of the work. Loaded when asked for. */
const commands = {
  up: { about: "start everything and leave it running (npm start)", load: () => import("./up/up.ts") },
  demo: {
    about: "the whole job, once: contribute, ask, attribute, settle, claim, verify",
    load: () => import("./demo/demo.ts"),
  },
  migrate: {
    about: "bring the offchain tables of DATABASE_URL to the newest migration",
    load: () => import("./migrate.ts"),
  },
  train: {
    about: "train an adapter on a Datanet, register it, wait until it can be asked",
    load: () => import("./train.ts"),
  },
  ask: { about: "ask a question, paid by a development account", load: () => import("./ask.ts") },
  duplicates: {
    about: "what a contribution repeats of earlier ones, for who votes on it",
    load: () => import("./duplicates.ts"),
  },
  bot: { about: "claim for every account that is owed something", load: () => import("./bot.ts") },
  trace: {
    about: "every hop behind a payout, by claim transaction or receipt",
    load: () => import("./trace.ts"),
  },
  verify: { about: "recompute a claim from chain and DA alone", load: () => import("./verify.ts") },
  rescore: {
    about: "ask the model again and compare with a receipt's published score",
    load: () => import("./rescore.ts"),
  },
  rebuild: {
    about: "chain and blobs into an empty database; compare state hashes",
    load: () => import("./rebuild.ts"),
  },
} satisfies Record<string, Command>;

export type CommandName = keyof typeof commands;

export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}

/** Commands that answer a question: 1 is their "no", so a failure is 2. */
const asking: readonly CommandName[] = ["trace", "verify", "rescore", "rebuild", "duplicates"];

/**
 * The command's `run`, with errors of the world told in one message and only our bugs with their stack.
 * Wrong usage is exit code 2.
 */
export async function loadCommand(name: CommandName): Promise<Run> {
  const { run } = await commands[name].load();
  return async (args) => {
    try {
      return await run(args);
    } catch (error) {
      const refused = refusalOf(error);
      if (refused !== null) {
        console.error(`${refused}\n\`npm run tributary -- ${name} --help\` tells what it takes.`);
        return 2;
      }
      console.error(error instanceof PipelineError ? error.message : error);
      return asking.includes(name) ? 2 : 1;
    }
  };
}

/** What is wrong with arguments or settings, or null where something else is. */
function refusalOf(error: unknown): string | null {
  if (error instanceof UsageError) return error.message;
  if (error instanceof ZodError) return tellSettings(error);
  const { code, message } = error as { code?: unknown; message?: string };
  return String(code).startsWith("ERR_PARSE_ARGS") ? `${message!.split(". ")[0]}.` : null;
}

export function usage(): string {
  const lines = Object.entries(commands).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`);
  return ["npm run tributary -- <command> [options]; <command> --help tells its options", "", ...lines].join(
    "\n",
  );
}

function tellSettings(error: ZodError): string {
  return error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("\n");
}
