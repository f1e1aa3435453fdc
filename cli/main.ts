#!/usr/bin/env node
import { isCommand, loadCommand, usage } from "./commands.ts";
import { endWithReader, exit } from "./reader.ts";

const nodeMajorMin = 24;

endWithReader();
// Not by letting the event loop run dry: a demo that failed may still be asking a chain that has been stopped.
await exit(await main(process.argv.slice(2)));

/** Runs one command. Exit code 2 for a command that does not exist, and where Node is too old. */
async function main([name, ...args]: string[]): Promise<number> {
  if (Number(process.versions.node.split(".")[0]) < nodeMajorMin) {
    console.error(
      `Tributary runs on Node ${nodeMajorMin}, which \`npm ci\` brings. This is ${process.version}: start it through npm, as in \`npm run tributary -- ${name ?? "help"}\`.`,
    );
    return 2;
  }
  if (name === undefined || name === "help" || name === "--help") {
    console.log(usage());
    return 0;
  }
  if (!isCommand(name)) {
    console.error(`There is no command ${name}.\n\n${usage()}`);
    return 2;
  }
  const run = await loadCommand(name);
  return run(args);
}
