#!/usr/bin/env node
import { devCommand } from "../dev/command.ts";
import { EigenDaError } from "../errors.ts";
import { ArgumentError } from "./argument-error.ts";
import { type CommandName, commands } from "./commands.ts";

const usage = `eigenda <command>
  put <file>           disperse a file ("-": standard input); prints JSON, the certificate to --out or in it
  get <certificate>    retrieve and verify a payload; writes it to --out or standard output
  status <blob key>    what the disperser says of a blob
  inspect <certificate>  what a certificate says and which of its claims hold, as JSON
  verify <certificate>   exit code 0 if it passes --level (default inclusion+signature)
  dev                  run a development disperser; "eigenda dev" alone lists its options

A certificate is a file or hex, in RLP or ABI. Exit codes: 0 done, 1 refused or failed, 2 wrong arguments.
  --url <url>          disperser and relay, default http://127.0.0.1:32005
  --relay <url>        relay, if it is not at --url; "registry" asks the contract, with --network and --rpc
  --key-file <file>    secp256k1 key of the paying account, hex; default: a published development key
  --ledger <file>      keeps account of payments
  --payment <mode>     reservation (default), on-demand, reservation-first; the last two need --ledger
  --chain-id <id>      default 31337
  --srs <folder>       cache of the SRS's points, default .eigenda
  --g1 <file> --sha256 <hex>   the ceremony's G1 points, to get from a network; to put to one also
    --g2 <file> --g2-sha256 <hex> --g2-trailing <file> --g2-trailing-sha256 <hex>
  --srs-url <url>      instead of files: fetches --symbols <n> (default 4096) of each by range requests from
                       https://srs-mainnet.s3.amazonaws.com/kzg or a copy; get fetches those in G1 alone
  --anchor mainnet|development   whose points files and --srs-url hold, default mainnet
  --form eval|coeff    default eval
  --level structure|inclusion+signature|onChain
  --network mainnet|sepolia|hoodi   under the ceremony's SRS; for onChain and "registry" with --rpc <url of the L1>
  --out <file>`;

const [name, ...parameters] = process.argv.slice(2);
process.exitCode = await run();

async function run(): Promise<number> {
  if (name === "dev") return (await devCommand(parameters)) ?? 0;
  if (name === undefined || !Object.hasOwn(commands, name)) {
    console.error(usage);
    return name === undefined || name === "help" || name === "--help" ? 0 : 2;
  }
  try {
    return await commands[name as CommandName](parameters);
  } catch (error) {
    if (error instanceof EigenDaError) {
      console.error(`${error.kind}: ${error.message}`);
      return error instanceof ArgumentError ? 2 : 1;
    }
    if (!(error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")))
      throw error;
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
}
