import { devCommand } from "./command.ts";

const code = await devCommand(process.argv.slice(2));
if (code !== null) process.exitCode = code;
