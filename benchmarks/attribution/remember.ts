/** Results of long measurements, kept in a folder so that one that was killed goes on. `BENCH_FOLDER`, else the temporary folder. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where results of one measurement lie; `settings` is all that decides them, so others never meet. */
export function resultsFolder(name: string, settings: unknown): string {
  const root = process.env.BENCH_FOLDER ?? join(tmpdir(), "tributary-bench");
  const hash = createHash("sha256").update(JSON.stringify(settings)).digest("hex").slice(0, 12);
  const folder = join(root, `${name}-${hash}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** What is kept under a key, as JSON, or what is made now. */
export function rememberIn(folder: string) {
  return async <T>(key: string, make: () => Promise<T>): Promise<T> => {
    const path = join(folder, `${key.replaceAll(" ", "-")}.json`);
    try {
      return JSON.parse(readFileSync(path, "utf8"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    const made = await make();
    writeFileSync(`${path}.partial`, JSON.stringify(made));
    renameSync(`${path}.partial`, path);
    return made;
  };
}
