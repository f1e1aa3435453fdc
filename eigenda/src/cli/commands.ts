import { readFile, writeFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { parseArgs } from "node:util";
import {
  bytesToHex,
  createPublicClient,
  http,
  isHex,
  keccak256,
  type PublicClient,
  stringToBytes,
} from "viem";
import { type Certificate, encodeCertificate } from "../certificate/certificate.ts";
import { contractAddress, networks, registryRelayUrl } from "../certificate/contracts.ts";
import { inspectCertificate, readAnyCertificate } from "../certificate/inspect.ts";
import { verifyCertificate } from "../certificate/verify.ts";
import { DisperserClient } from "../client/disperser-client.ts";
import { RelayClient } from "../client/relay-client.ts";
import type { PolynomialForm } from "../codec/blob.ts";
import { EigenDaError } from "../errors.ts";
import { developmentSrsAnchor } from "../kzg/development-srs.ts";
import { mainnetSrsAnchor } from "../kzg/mainnet-srs.ts";
import type { Srs } from "../kzg/srs.ts";
import type { PaymentMode } from "../payment/payer.ts";
import { PaymentLedger } from "../payment/payment-ledger.ts";
import { ArgumentError } from "./argument-error.ts";
import { srsOf } from "./srs.ts";

/** Known to everyone, for a development disperser only. */
const developmentKey = keccak256(stringToBytes("tributary eigenda development account"));

/** Each command takes its parameters and returns the exit code. @throws EigenDaError, ArgumentError; TypeError ERR_PARSE_ARGS_*. */
export const commands = { put, get, status, inspect, verify } as const;
export type CommandName = keyof typeof commands;

type Options = ReturnType<typeof readOptions>["values"];

async function put(parameters: string[]): Promise<number> {
  const { values, subject } = readOptions(parameters);
  const payload = subject === "-" ? await buffer(process.stdin) : await readInput(subject);
  await using disperser = await disperserOf(values, await srsOf(values, "disperse"));
  const { certificate, ...rest } = await disperser.client.disperse(payload, {
    onStatus: ({ status: name, attempt }) => console.error(`${name} (attempt ${attempt})`),
  });
  const inline = { ...rest, certificate: bytesToHex(certificate) };
  if (values.out === undefined) print(inline);
  else {
    await writeOutput(values.out, certificate).catch((error) => {
      // The blob is paid for, and lost without its certificate.
      print(inline);
      throw error;
    });
    print({ ...rest, certificate: values.out });
  }
  return 0;
}

async function get(parameters: string[]): Promise<number> {
  const { values, subject } = readOptions(parameters);
  const certificate = encodeCertificate(await certificateOf(subject));
  const relayUrl = values.relay === "registry" ? await registryOf(values) : () => values.relay ?? values.url;
  await using relay = new RelayClient({
    relayUrl,
    srs: await srsOf(values, "retrieve"),
    form: formOf(values),
  });
  const payload = await relay.retrieve(certificate);
  if (values.out === undefined) process.stdout.write(payload);
  else await writeOutput(values.out, payload);
  return 0;
}

async function status(parameters: string[]): Promise<number> {
  const { values, subject } = readOptions(parameters);
  if (!isHex(subject) || subject.length !== 66) throw new ArgumentError("A blob key is 32 bytes in hex.");
  // No point is needed to ask.
  const none = { g1: new Uint8Array(), g2: null, g2Trailing: null };
  await using disperser = await disperserOf(values, { ...mainnetSrsAnchor, symbolsMax: 0, points: none });
  print(await disperser.client.blobStatus(subject));
  return 0;
}

async function inspect(parameters: string[]): Promise<number> {
  print(await inspectCertificate(await certificateOf(readOptions(parameters).subject)));
  return 0;
}

async function verify(parameters: string[]): Promise<number> {
  const { values, subject } = readOptions(parameters);
  const { level } = values;
  if (level !== "structure" && level !== "inclusion+signature" && level !== "onChain")
    throw new ArgumentError(`There is no level ${level}.`);
  const bytes = encodeCertificate(await certificateOf(subject));
  const srs = values.network === undefined ? developmentSrsAnchor : mainnetSrsAnchor;
  const verdict = await verifyCertificate(
    bytes,
    level === "onChain" ? { level, srs, ...(await routerOf(values)) } : { level, srs },
  );
  if (!verdict.ok) print(verdict);
  else {
    const { blobKey, signer, isSignerKeyProven } = verdict;
    print({ ok: true, level, blobKey, signer, isSignerKeyProven });
  }
  return verdict.ok ? 0 : 1;
}

function readOptions(parameters: string[]) {
  const string = { type: "string" } as const;
  const { values, positionals } = parseArgs({
    args: parameters,
    allowPositionals: true,
    options: {
      url: { ...string, default: "http://127.0.0.1:32005" },
      relay: string,
      "key-file": string,
      ledger: string,
      payment: { ...string, default: "reservation" },
      "chain-id": { ...string, default: "31337" },
      srs: { ...string, default: ".eigenda" },
      g1: string,
      sha256: string,
      g2: string,
      "g2-sha256": string,
      "g2-trailing": string,
      "g2-trailing-sha256": string,
      "srs-url": string,
      anchor: { ...string, default: "mainnet" },
      symbols: { ...string, default: "4096" },
      form: { ...string, default: "eval" },
      level: { ...string, default: "inclusion+signature" },
      network: string,
      rpc: string,
      out: string,
    },
  });
  const [subject, ...others] = positionals;
  if (subject === undefined || others.length > 0)
    throw new ArgumentError("This command takes one argument; `eigenda help` lists all.");
  return { values, subject };
}

async function disperserOf(
  values: Options,
  srs: Srs,
): Promise<AsyncDisposable & { client: DisperserClient }> {
  const keyFile = values["key-file"];
  const accountKey = keyFile === undefined ? developmentKey : String(await readInput(keyFile)).trim();
  const modes: readonly string[] = ["reservation", "on-demand", "reservation-first"] satisfies PaymentMode[];
  if (!modes.includes(values.payment)) throw new ArgumentError(`There is no payment mode ${values.payment}.`);
  if (values.payment !== "reservation" && values.ledger === undefined)
    throw new ArgumentError("Payment on demand needs --ledger, so that no sum is promised twice.");
  const ledger = values.ledger === undefined ? null : openLedger(values.ledger);
  const client = new DisperserClient({
    url: values.url,
    accountKey,
    chainId: chainIdOf(values),
    srs,
    form: formOf(values),
    payment: ledger && { ledger, mode: values.payment as PaymentMode },
  });
  return {
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      ledger?.[Symbol.dispose]();
    },
  };
}

function chainIdOf({ "chain-id": text }: Options): bigint {
  if (!/^[1-9]\d{0,76}$/.test(text))
    throw new ArgumentError(`--chain-id is a whole number above zero. Given: ${text}.`);
  return BigInt(text);
}

function formOf({ form }: Options): PolynomialForm {
  if (form !== "eval" && form !== "coeff") throw new ArgumentError(`There is no form ${form}.`);
  return form;
}

async function registryOf(values: Options): Promise<(relayKey: number) => Promise<string | null>> {
  const { client, network } = networkOf(values);
  return registryRelayUrl(client, await contractAddress(client, network.directory, "RELAY_REGISTRY"));
}

async function routerOf(values: Options) {
  const { client, network } = networkOf(values);
  return { client, router: await contractAddress(client, network.directory, "CERT_VERIFIER_ROUTER") };
}

function networkOf({ network, rpc }: Options) {
  if (network === undefined || !Object.hasOwn(networks, network) || rpc === undefined)
    throw new ArgumentError("This needs --network mainnet, sepolia or hoodi, and --rpc, a node of its L1.");
  const client: PublicClient = createPublicClient({ transport: http(rpc) });
  return { client, network: networks[network as keyof typeof networks] };
}

/** Hex if it starts with 0x or is longer than a file's name, else a file. */
async function certificateOf(subject: string): Promise<Certificate> {
  const isText = isHex(subject) || (isHex(`0x${subject}`) && subject.length > 200);
  const bytes = isText ? Buffer.from(subject) : await readInput(subject);
  const read = readAnyCertificate(bytes);
  if (!read.ok) throw new EigenDaError("invalid", read.reason);
  return read.value;
}

async function writeOutput(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, bytes).catch((error: NodeJS.ErrnoException) => {
    throw new EigenDaError("invalid", `${path} cannot be written: ${error.code}.`, { cause: error });
  });
}

function openLedger(path: string): PaymentLedger {
  try {
    return new PaymentLedger(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new EigenDaError("invalid", `--ledger ${path} cannot be opened: ${error.message}.`, {
      cause: error,
    });
  }
}

async function readInput(path: string): Promise<Buffer> {
  return await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new EigenDaError("invalid", `${path} cannot be read: ${error.code}.`, { cause: error });
  });
}

function print(value: object): void {
  console.log(JSON.stringify(value));
}
