import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import realV3 from "../certificate/v3-certificate.json" with { type: "json" };
import { samplePayload } from "../testing/disperser.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

let folder: string;
let server: ChildProcess;
let url: string;

/** The package as npm would publish it, unpacked beside the dependencies that are installed here. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "eigenda-package-"));
  await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: root });
  const scope = join(folder, "node_modules", "@tributary");
  await mkdir(scope, { recursive: true });
  await run("tar", ["-xzf", join(folder, "tributary-eigenda-0.1.0.tgz"), "-C", scope]);
  await run("mv", [join(scope, "package"), join(scope, "eigenda")]);
  const { dependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    const target = join(folder, "node_modules", name);
    await mkdir(join(target, ".."), { recursive: true });
    await symlink(join(root, "../node_modules", name), target);
  }
  server = spawn(process.execPath, [binary(), "dev", "--data-dir", join(folder, "data"), "--step-ms", "50"]);
  const [line] = (await once(createInterface({ input: server.stdout! }), "line")) as [string];
  url = JSON.parse(line).url;
});
afterAll(async () => {
  const ended = once(server, "close");
  server.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
  await rm(folder, { recursive: true, force: true });
});

it("puts, follows, inspects, verifies and gets a payload from the packed package", async () => {
  const [payload, certificate] = [join(folder, "payload"), join(folder, "certificate")];
  await writeFile(payload, samplePayload(1000));
  const put = JSON.parse(
    await eigenda("put", payload, "--url", url, "--out", certificate, "--ledger", join(folder, "ledger")),
  );
  expect(put).toMatchObject({ length: 64, certificate });
  expect(JSON.parse(await eigenda("status", put.blobKey, "--url", url))).toMatchObject({
    status: "COMPLETE",
    signedPercent: { 0: 100, 1: 100 },
  });
  expect(JSON.parse(await eigenda("inspect", certificate))).toMatchObject({
    version: 4,
    blobKey: put.blobKey,
    inclusion: true,
    bls: true,
    kzg: expect.stringContaining("development SRS"),
  });
  expect(JSON.parse(await eigenda("verify", certificate))).toMatchObject({ ok: true, blobKey: put.blobKey });
  await eigenda("get", certificate, "--url", url, "--out", join(folder, "same"));
  expect(new Uint8Array(await readFile(join(folder, "same")))).toEqual(samplePayload(1000));
});

it("inspects a real certificate given as hex, and verifies it under the ceremony's SRS alone", async () => {
  expect(JSON.parse(await eigenda("inspect", realV3.certificate))).toMatchObject({
    version: 3,
    blobKey: `0x${realV3.blobKey}`,
    kzg: "EigenDA mainnet SRS",
  });
  const file = join(folder, "real.hex");
  await writeFile(file, `0x0100${realV3.certificate}\n`);
  expect(JSON.parse(await eigenda("verify", file, "--network", "mainnet"))).toMatchObject({ ok: true });
  await expect(eigenda("verify", file)).rejects.toMatchObject({ code: 1 });
});

it("never prints what stands in a key file", async () => {
  const keyFile = join(folder, "slipped.key");
  const slipped = "c0ffee".repeat(10);
  await writeFile(keyFile, `${slipped}\n`);
  const failure = await eigenda("status", `0x${"00".repeat(32)}`, "--key-file", keyFile).catch(
    (error) => error,
  );
  expect(failure).toMatchObject({ code: 1, stderr: expect.stringContaining("invalid: An account's key is") });
  expect(failure.stderr + failure.stdout).not.toContain(slipped);
});

it("tells wrong arguments from refusals by the exit code", async () => {
  await expect(eigenda("none")).rejects.toMatchObject({ code: 2 });
  await expect(eigenda("put", "x", "--none")).rejects.toMatchObject({ code: 2 });
  await expect(eigenda("get", join(folder, "absent"))).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("invalid: "),
  });
  expect(await eigenda("help")).toBe("");
});

async function eigenda(...parameters: string[]): Promise<string> {
  return (await run(process.execPath, [binary(), ...parameters], { cwd: folder })).stdout;
}

function binary(): string {
  return join(folder, "node_modules/@tributary/eigenda/dist/cli/main.js");
}
