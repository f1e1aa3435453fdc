import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";

const main = join(import.meta.dirname, "main.ts");
const reader = JSON.stringify(join(import.meta.dirname, "reader.ts"));

type Closed = "stdout" | "stderr";

/** Exit code of a process whose reader has left before it says anything, and what it said elsewhere. */
async function run(args: readonly string[], closed: readonly Closed[]) {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  for (const name of closed) child[name].destroy();
  const read = (name: Closed) => (closed.includes(name) ? "" : text(child[name]));
  const [stdout, stderr, [code]] = await Promise.all([read("stdout"), read("stderr"), once(child, "exit")]);
  return { code, stdout, stderr };
}

const script = (body: string) => [
  "--input-type=module",
  "-e",
  `import { endWithReader, exit } from ${reader};${body}`,
];

it("ends quietly and without a verdict where nobody reads what it says", async () => {
  expect(await run([main, "help"], ["stdout"])).toEqual({ code: 2, stdout: "", stderr: "" });
  expect(await run([main, "help"], ["stdout", "stderr"])).toMatchObject({ code: 2 });
  expect(await run([main, "help"], [])).toMatchObject({ code: 0, stderr: "" });
});

it("counts what it says on standard error too", async () => {
  const said = (code: number) => script(`endWithReader(); console.error("a reason"); await exit(${code});`);
  expect(await run(said(1), ["stderr"])).toMatchObject({ code: 2, stdout: "" });
  expect(await run(said(1), [])).toMatchObject({ code: 1, stderr: "a reason\n" });
});

it("does not go on for long where nobody reads, and stops what was started first", async () => {
  const forever = `endWithReader(); setInterval(() => console.log("a line"), 10);`;
  expect(await run(script(forever), ["stdout"])).toEqual({ code: 2, stdout: "", stderr: "" });
  const stopping = `
    const stopped = Promise.withResolvers();
    process.on("SIGTERM", () => setTimeout(stopped.resolve, 50));
    ${forever}
    await stopped.promise;
    console.error("stopped");
    await exit(0);`;
  expect(await run(script(stopping), ["stdout"])).toEqual({ code: 2, stdout: "", stderr: "stopped\n" });
});
