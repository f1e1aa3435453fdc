import { z } from "zod";

const environment = z.object({
  DATABASE_URL: z.string().min(1),
  RPC_URL: z.url(),
  API_PORT: z.coerce.number().int().min(0).max(65_535).default(4_000),
});

export type Config = { databaseUrl: string; rpcUrl: string; port: number };

/** Reads the environment once. @throws ZodError naming each variable that is missing or malformed. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const e = environment.parse(env);
  return Object.freeze({ databaseUrl: e.DATABASE_URL, rpcUrl: e.RPC_URL, port: e.API_PORT });
}
