/**
 * package-lock.json → the same with every optional package in it. A registry that lacks a platform's binary makes npm
 * leave that package out, and `npm ci` then refuses the lockfile. The parents pin these packages exactly, so version
 * and platform are known without the registry. Run after `npm install`; the tidy test fails where it is missing.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

type Entry = {
  version: string;
  optional?: boolean;
  dev?: boolean;
  optionalDependencies?: Record<string, string>;
  cpu?: string[];
  os?: string[];
  libc?: string[];
};
type Lockfile = { packages: Record<string, Entry> };

const systems: Record<string, string> = { windows: "win32" };
const processors: Record<string, string> = { amd64: "x64", x86: "ia32", armv7: "arm", aarch64: "arm64" };
const knownSystems = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
];

/** Optional packages that an entry wants and no folder above it holds, as `path → entry`. */
export function missingOptional({ packages }: Lockfile): Record<string, Entry> {
  const missing: Record<string, Entry> = {};
  for (const [path, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (placesOf(path, name).some((place) => packages[place]?.version === version) || !/^\d/.test(version))
        continue;
      const place =
        (packages[`node_modules/${name}`] ?? missing[`node_modules/${name}`])
          ? `${path}/node_modules/${name}`
          : `node_modules/${name}`;
      missing[place] = { version, ...platformOf(name), ...(dev ? { dev } : {}), optional: true };
    }
  }
  return missing;
}

/** Where Node would look for `name` from `path`, nearest first. */
function placesOf(path: string, name: string): string[] {
  const parts = path === "" ? [] : path.split("/node_modules/");
  const above = parts.map(
    (_, depth) => `${parts.slice(0, depth + 1).join("/node_modules/")}/node_modules/${name}`,
  );
  return [...above.reverse(), `node_modules/${name}`];
}

/** `@scope/tool-linux-arm64-musl` → os, cpu and libc, as the package's own manifest would say. */
function platformOf(name: string): Pick<Entry, "os" | "cpu" | "libc"> {
  const words = name
    .split("/")
    .at(-1)!
    .split("-")
    .flatMap((word) => [systems[word] ?? processors[word] ?? word]);
  const at = words.findLastIndex((word) => knownSystems.includes(word));
  const [os, cpu, abi] = at === -1 ? [undefined, undefined, undefined] : words.slice(at, at + 3);
  const libc =
    os !== "linux"
      ? undefined
      : abi?.startsWith("musl")
        ? "musl"
        : abi?.startsWith("gnu")
          ? "glibc"
          : undefined;
  return { ...(cpu ? { cpu: [cpu] } : {}), ...(libc ? { libc: [libc] } : {}), ...(os ? { os: [os] } : {}) };
}

if (process.argv[1] === import.meta.filename) {
  const path = join(import.meta.dirname, "..", "package-lock.json");
  const lockfile: Lockfile = JSON.parse(readFileSync(path, "utf8"));
  const missing = missingOptional(lockfile);
  lockfile.packages = Object.fromEntries(
    Object.entries({ ...lockfile.packages, ...missing }).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  writeFileSync(path, `${JSON.stringify(lockfile, null, 2)}\n`);
  console.log(`${Object.keys(missing).length} optional packages added to the lockfile`);
}
