import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { root } from "./config.ts";

const condition = z.enum(["service_started", "service_healthy", "service_completed_successfully"]);
const service = z.strictObject({
  image: z.string(),
  build: z.literal(".").optional(),
  network_mode: z.literal("host"),
  restart: z.enum(["unless-stopped", "on-failure"]),
  command: z.array(z.string()).min(1),
  environment: z.record(z.string(), z.string()),
  volumes: z.array(z.string().regex(/^[a-z]+:\/[\w/]+$/)),
  profiles: z.array(z.string()).optional(),
  stop_signal: z.enum(["SIGINT", "SIGTERM"]).optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition })).optional(),
  healthcheck: z.strictObject({ test: z.array(z.string()), interval: z.string() }).optional(),
});
const compose = z.strictObject({
  name: z.string(),
  "x-stage": z.unknown(),
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.strictObject({})),
});

const file = compose.parse(parse(readFileSync(join(root, "docker-compose.yml"), "utf8"), { merge: true }));
const services = Object.entries(file.services);

it("lists every service in the order of the chain of work", () => {
  expect(Object.keys(file.services)).toEqual([
    ...["postgres", "chain", "migrate", "indexer", "engine", "serving", "settlement", "api"],
  ]);
});

it("stops Ponder by SIGINT: on SIGTERM it leaves its lock", () => {
  expect(file.services.indexer?.stop_signal).toBe("SIGINT");
});

it("starts files that exist, on volumes that are declared, after services that come before", () => {
  for (const [index, [name, { command, volumes, depends_on = {} }]] of services.entries()) {
    if (command[0] === "node")
      expect(existsSync(join(root, command[1]!)), `${name}: ${command[1]}`).toBe(true);
    for (const volume of volumes) expect(file.volumes).toHaveProperty(volume.split(":")[0]!);
    const earlier = services.slice(0, index).map(([before]) => before);
    for (const needed of Object.keys(depends_on))
      expect(earlier, `${name} needs ${needed}`).toContain(needed);
  }
});

it("listens on 127.0.0.1 alone and holds no secret", () => {
  const text = readFileSync(join(root, "docker-compose.yml"), "utf8");
  expect(text).not.toMatch(/0\.0\.0\.0|ports:/);
  for (const [, { environment }] of services) {
    for (const [name, value] of Object.entries(environment)) {
      if (/KEY|PASSWORD/.test(name)) expect(value).toMatch(/^\$\{\w+:\?/);
    }
  }
});
