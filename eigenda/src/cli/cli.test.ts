import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { srsOrder } from "../kzg/srs.ts";
import { samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { startRangeServer } from "../testing/range-server.ts";
import { ceremonyFiles, compressedLists, type SrsLists } from "../testing/srs-files.ts";

const run = promisify(execFile);
const payload = samplePayload(300);

let setup: Awaited<ReturnType<typeof startTestDisperser>>;
let server: Awaited<ReturnType<typeof startRangeServer>>;
let lists: SrsLists;
let folder: string;

beforeAll(async () => {
  setup = await startTestDisperser();
  lists = compressedLists(setup.srs);
});
afterAll(() => setup[Symbol.asyncDispose]());
beforeEach(async () => {
  server = await startRangeServer(ceremonyFiles(lists));
  folder = await mkdtemp(join(setup.folder, "cli-"));
  await writeFile(join(folder, "payload"), payload);
});
afterEach(() => server[Symbol.asyncDispose]());

it("puts with points fetched by range requests, and gets with those of G1 alone", async () => {
  const srs = ["--srs-url", server.url, "--symbols", "64", "--anchor", "development"];
  await eigenda("put", "payload", "--out", "certificate", ...srs);
  const end = 64 * srsOrder - 1;
  const asked = ["/g1.point bytes=0-2047", "/g2.point bytes=0-4095", `/g2.point bytes=${end - 4095}-${end}`];
  expect(server.requests).toEqual(asked);
  await eigenda("get", "certificate", "--out", "same", ...srs);
  expect(new Uint8Array(await readFile(join(folder, "same")))).toEqual(payload);
  await eigenda("get", "certificate", "--out", "again", ...srs, "--srs", "elsewhere");
  expect(server.requests).toEqual([...asked, "/g1.point bytes=0-2047"]);
});

it("puts with points from files, and gets with the G1 file alone", async () => {
  const files = {
    g1: ["--g1", "g1.point", "--sha256", await write("g1.point", lists.g1)],
    g2: ["--g2", "g2.point", "--g2-sha256", await write("g2.point", lists.prefix)],
    trailing: [
      "--g2-trailing",
      "end.point",
      "--g2-trailing-sha256",
      await write("end.point", lists.trailing),
    ],
  };
  const anchor = ["--anchor", "development"];
  await eigenda("put", "payload", "--out", "certificate", ...Object.values(files).flat(), ...anchor);
  await eigenda("get", "certificate", "--out", "same", ...files.g1, ...anchor);
  expect(new Uint8Array(await readFile(join(folder, "same")))).toEqual(payload);
  const wrong = (...options: string[]) => wrongArguments("put", "payload", ...options, ...anchor);
  expect(await wrong(...files.g1)).toContain("give --g2 and --g2-trailing too, or --srs-url");
  expect(await wrong("--g1", "g1.point")).toContain("need --g1, a file, and --sha256, its checksum");
  expect(await wrong(...files.g2, ...files.trailing)).toContain("need --g1, a file");
  expect(await wrong(...files.g1, ...files.g2)).toContain("need --g2-trailing, a file");
  expect(await wrong(...files.g1, "--srs-url", server.url)).toContain("give one of them");
  const put = (...options: string[]) => refusal("put", "payload", ...options, ...anchor);
  expect(await put(...files.g1.slice(0, 3), "00", ...files.g2, ...files.trailing)).toContain(
    "has another checksum",
  );
  const swapped = ["--g2", "end.point", "--g2-sha256", files.trailing[3]!];
  expect(await put(...files.g1, ...swapped, ...files.trailing)).toContain("The SRS files are wrong");
  expect(await refusal("put", "payload", ...Object.values(files).flat())).toContain("EigenDA mainnet SRS");
});

it("says what to do when the server of the points does not serve them, and keeps nothing of it", async () => {
  const options = ["--srs-url", server.url, "--symbols", "64", "--anchor", "development", "--srs", "kept"];
  const wrong = (...more: string[]) => wrongArguments("put", "payload", ...options, ...more);
  expect(await wrong("--symbols", "63")).toContain("--symbols is a power of two up to 524288. Given: 63.");
  expect(await wrong("--anchor", "holesky")).toContain("--anchor is mainnet or development. Given: holesky.");
  const put = (...more: string[]) => refusal("put", "payload", ...options, ...more);
  expect(await put("--srs-url", "http://files.example/kzg")).toContain("write https:// instead");
  expect(await put("--anchor", "mainnet")).toContain("EigenDA mainnet SRS");
  server.control.ignoresRanges = true;
  expect(await put()).toContain("does not answer range requests");
  server.control.ignoresRanges = false;
  server.control.status = 404;
  expect(await put()).toContain("g1.point answered 404");
  expect(await readdir(join(folder, "kept"))).toEqual([]);
});

it("asks for a blob's status without any points", async () => {
  const { blobKey } = await setup.client.disperse(payload);
  const options = ["--srs-url", server.url, "--srs", "unused"];
  expect(JSON.parse(await eigenda("status", blobKey, ...options))).toMatchObject({ status: "COMPLETE" });
  expect(server.requests).toEqual([]);
  expect(await readdir(folder)).toEqual(["payload"]);
});

it("says what is wrong with a chain or a ledger without a stack, and prints a certificate it cannot write", async () => {
  const wrong = (...options: string[]) => wrongArguments("put", "payload", ...options);
  expect(await wrong("--chain-id", "mainnet")).toContain(
    "--chain-id is a whole number above zero. Given: mainnet.",
  );
  expect(await refusal("put", "payload", "--ledger", "payload")).toContain(
    "--ledger payload cannot be opened",
  );
  const late = await eigenda("put", "payload", "--out", "absent/certificate").catch((error) => error);
  expect(late.stderr).toContain("invalid: absent/certificate cannot be written: ENOENT.");
  // What was dispersed is not lost with it.
  await writeFile(join(folder, "certificate"), JSON.parse(late.stdout).certificate);
  await eigenda("get", "certificate", "--out", "same");
  expect(new Uint8Array(await readFile(join(folder, "same")))).toEqual(payload);
});

it("ends with 2 for parameters that no run could take, before it looks at any file", async () => {
  expect(await wrongArguments("put")).toContain("takes one argument");
  expect(await wrongArguments("put", "payload", "--form", "q")).toContain("There is no form q.");
  expect(await wrongArguments("put", "payload", "--payment", "q")).toContain("There is no payment mode q.");
  expect(await wrongArguments("verify", "absent", "--level", "q")).toContain("There is no level q.");
  expect(await wrongArguments("status", "0x00")).toContain("A blob key is 32 bytes in hex.");
  expect(await refusal("get", "0x00")).not.toContain("cannot be read");
  expect(await refusal("get", "absent")).toContain("absent cannot be read: ENOENT.");
});

async function write(name: string, bytes: Uint8Array): Promise<string> {
  await writeFile(join(folder, name), bytes);
  return createHash("sha256").update(bytes).digest("hex");
}

async function eigenda(...parameters: string[]): Promise<string> {
  const main = join(import.meta.dirname, "main.ts");
  const given = [main, ...parameters, "--url", setup.server.url];
  return (await run(process.execPath, given, { cwd: folder })).stdout;
}

/** Standard error of a command that ends with code 1. */
function refusal(...parameters: string[]): Promise<string> {
  return errorOf(1, parameters);
}

/** Standard error of a command that ends with code 2. */
function wrongArguments(...parameters: string[]): Promise<string> {
  return errorOf(2, parameters);
}

async function errorOf(code: number, parameters: string[]): Promise<string> {
  const failure = await eigenda(...parameters).catch((error) => error);
  expect(failure).toMatchObject({ code, stderr: expect.stringMatching(/^invalid: .*\n$/m) });
  expect(failure.stderr).not.toContain("    at ");
  return failure.stderr;
}
