import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";

const packageFolder = join(import.meta.dirname, "..");
const binFolder = join(packageFolder, "..", "node_modules", ".bin");
const folder = await mkdtemp(join(tmpdir(), "eigenda-gen-"));

afterAll(() => rm(folder, { recursive: true, force: true }));

it("keeps in src/gen exactly what the proto files generate", async () => {
  await promisify(execFile)(join(binFolder, "buf"), ["generate", "--output", folder], {
    cwd: packageFolder,
    env: { ...process.env, PATH: `${binFolder}${delimiter}${process.env.PATH}` },
  });
  const generated = await read(join(folder, "src", "gen"));
  expect(generated.size).toBe((await readdir(join(packageFolder, "proto"))).length);
  expect(await read(join(import.meta.dirname, "gen")), "stale: npm run gen -w eigenda").toEqual(generated);
});

async function read(from: string): Promise<Map<string, string>> {
  const names = (await readdir(from)).sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(from, name), "utf8")] as const)),
  );
}
