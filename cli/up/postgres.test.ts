import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterEach, beforeEach, expect, it } from "vitest";
import { root } from "../config.ts";
import { freePort } from "./ports.ts";
import {
  createDatabase,
  type Place,
  postgresService,
  postgresUrl,
  preparePostgres,
  removePostgres,
} from "./postgres.ts";
import { isAlive, readBirth } from "./processes.ts";
import { Supervisor } from "./supervisor.ts";

let folder: string;
let place: Place;
let port: number;
let supervisor: Supervisor;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tributary-postgres-"));
  chmodSync(folder, 0o755);
  port = await freePort();
  supervisor = new Supervisor(join(folder, "processes.json"), () => undefined);
});

afterEach(async () => {
  await supervisor.stop();
  removePostgres(folder);
  rmSync(folder, { recursive: true });
});

async function query(text: string): Promise<postgres.RowList<postgres.Row[]>> {
  const sql = postgres(postgresUrl(place, port, "work"), { max: 1, fetch_types: false });
  try {
    return await sql.unsafe(text);
  } finally {
    await sql.end();
  }
}

async function startWithWork(): Promise<void> {
  place = preparePostgres(folder);
  await supervisor.start(postgresService(place, port, "process"));
  await createDatabase(postgresUrl(place, port, "postgres"), "work");
}

it("keeps its rows through kill -9 of the server, which the supervisor starts again", async () => {
  await startWithWork();
  await query("create table kept (value int)");
  await query("insert into kept values (1)");
  const pid = supervisor.pidOf("postgres")!;
  process.kill(pid, "SIGKILL");
  await expect.poll(() => supervisor.pidOf("postgres"), { timeout: 30_000 }).not.toBe(pid);
  await expect
    .poll(() => query("select value from kept").catch(() => []), { timeout: 30_000 })
    .toHaveLength(1);
});

it("stops a server orphaned by a killed parent and starts on the same data", async () => {
  place = preparePostgres(folder);
  const service = postgresService(place, port, "process");
  const orphan = spawn(service.command, service.args(), {
    ...{ uid: place.uid, gid: place.gid, env: service.env },
    detached: true,
    stdio: "ignore",
  });
  await expect.poll(() => service.isReady(), { timeout: 30_000 }).toBe(true);
  const record = {
    name: "orphan",
    pid: orphan.pid!,
    birth: readBirth(orphan.pid!)!,
    stopSignal: "SIGINT" as const,
  };
  await startWithWork();
  expect(isAlive(record)).toBe(false);
  await query("select 1");
});

it("clears a stale lock that names a process of someone else", async () => {
  await startWithWork();
  await supervisor.stop();
  writeFileSync(join(place.dataFolder, "postmaster.pid"), `${process.pid}\n/elsewhere\n`);
  const { uid = process.getuid!(), gid = process.getgid!() } = place;
  if (uid !== process.getuid!()) chownSync(join(place.dataFolder, "postmaster.pid"), uid, gid);
  supervisor = new Supervisor(join(folder, "processes.json"), () => undefined);
  await supervisor.start(postgresService(place, port, "process"));
  await query("select 1");
});

it("keeps the password in a file only its owner reads", async () => {
  place = preparePostgres(folder);
  expect(statSync(join(folder, "postgres.json")).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(folder, "postgres.json"), "utf8")).toContain(place.password);
});

it.runIf(process.getuid?.() === 0)(
  "keeps the data where its user can reach it when only root can enter the folder",
  async () => {
    chmodSync(folder, 0o700);
    await startWithWork();
    expect(place.dataFolder.startsWith(folder)).toBe(false);
    expect(place.uid).not.toBe(0);
    await query("select 1");
  },
);

const nobody = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;
const canRead = spawnSync(process.execPath, ["-e", ""], { ...nobody, cwd: root, env: {} }).status === 0;
if (isRoot && !canRead)
  console.warn("SKIPPED: PostgreSQL as another user than root; only root can enter the checkout.");

it.runIf(!isRoot || canRead)("serves from the installed binaries where whoever starts it is not root", () => {
  if (isRoot) chownSync(folder, nobody.uid, nobody.gid);
  const script = `
    import postgres from "postgres";
    import { answers, postgresService, postgresUrl, preparePostgres } from "#cli/up/postgres";
    import { Supervisor } from "#cli/up/supervisor";
    const place = preparePostgres("${folder}");
    await using supervisor = new Supervisor("${folder}/processes.json", () => undefined);
    await supervisor.start(postgresService(place, ${port}, "process"));
    console.log(JSON.stringify({ place, isUp: await answers(postgresUrl(place, ${port}, "postgres")) }));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    ...(isRoot ? nobody : {}),
    ...{ cwd: root, env: { HOME: folder }, encoding: "utf8" },
  });
  expect(status, stderr).toBe(0);
  const { place: used, isUp } = JSON.parse(stdout);
  expect(isUp).toBe(true);
  expect(used).not.toHaveProperty("uid");
  expect(used.dataFolder).toBe(join(folder, "postgres", "data"));
  expect(used.nativeFolder).toContain("node_modules");
});
