import { renderGraphiQL } from "@graphql-yoga/render-graphiql";
import { sql } from "drizzle-orm";
import { GraphQLError } from "graphql";
import { createYoga, type Plugin } from "graphql-yoga";
import { Hono, type Context as HonoContext } from "hono";
import { bodyLimit } from "hono/body-limit";
import { Counter, collectDefaultMetrics, Histogram, Registry } from "prom-client";
import type { PublicClient } from "viem";
import type { Database, Transaction } from "#schema/database";
import { invariant } from "#schema/errors";
import { isNotIndexedYet } from "#schema/finality";
import { type Context, createContext } from "./builder.ts";
import { measure, refusal } from "./cost.ts";
import { exampleQuery } from "./example-query.ts";
import { bodyBytesMax, statementMsMax } from "./limits.ts";
import { schema } from "./schema.ts";
import { readStatus } from "./status.ts";

/**
 * GraphQL and GraphiQL at /graphql, /health, /metrics. Each GraphQL request runs in one read-only transaction, so all
 * of its answer is of one moment; it is measured before it runs.
 */
export function createApp({ db, client }: { db: Database["db"]; client: PublicClient }): Hono {
  const { registry, requests, seconds } = createMetrics();
  const yoga = createYoga<Context>({
    schema,
    graphqlEndpoint: "/graphql",
    landingPage: false,
    // Comes with the package: the page loads nothing from elsewhere.
    renderGraphiQL,
    graphiql: { title: "Tributary", defaultQuery: exampleQuery },
    logging: false,
    maskedErrors: { maskError },
    plugins: [costLimit],
  });
  const app = new Hono();
  app.use("/graphql", bodyLimit({ maxSize: bodyBytesMax, onError: refuseBody }));
  app.on(["GET", "POST", "OPTIONS"], "/graphql", async (c) => {
    const stop = seconds.startTimer();
    const response = await inSnapshot(db, (tx) =>
      yoga.fetch(
        c.req.raw,
        createContext(tx, () => readStatus(tx, client)),
      ),
    );
    stop();
    requests.inc({ status: response.status });
    return response;
  });
  app.get("/health", async (c) => {
    try {
      await db.execute(sql`select 1`);
      return c.json({ ok: true });
    } catch (error) {
      // The reason is the answer: whoever asks for health acts on it.
      return c.json({ ok: false, reason: (error as Error).message }, 503);
    }
  });
  app.onError((error, c) => {
    console.error(error);
    const errors = [{ message: "The database does not answer.", extensions: { code: "UNAVAILABLE" } }];
    return c.json({ errors }, 503);
  });
  app.get("/metrics", async (c) =>
    c.body(await registry.metrics(), 200, { "content-type": registry.contentType }),
  );
  return app;
}

function refuseBody(c: HonoContext): Response {
  const message = `The body is larger than ${bodyBytesMax} bytes.`;
  return c.json({ errors: [{ message, extensions: { code: "BODY_LIMIT" } }] }, 413);
}

/** One read-only transaction. A statement that failed is in the response already, so its error is not thrown again. */
async function inSnapshot<T>(db: Database["db"], read: (tx: Transaction) => Promise<T> | T): Promise<T> {
  let response: { value: T } | undefined;
  try {
    await db.transaction(
      async (tx) => {
        await tx.execute(sql.raw(`set local statement_timeout = ${statementMsMax}`));
        response = { value: await read(tx) };
      },
      { isolationLevel: "repeatable read", accessMode: "read only" },
    );
  } catch (error) {
    if (response === undefined) throw error;
  }
  invariant(response !== undefined, "a transaction that ends has answered");
  return response.value;
}

/** Refuses an operation above a limit before any of its resolvers runs. */
const costLimit: Plugin = {
  onExecute({ args, setResultAndStopExecution }) {
    const variables = (args.variableValues ?? {}) as Record<string, unknown>;
    const measured = measure(schema, args.document, { operationName: args.operationName, variables });
    const refused = refusal(measured);
    if (refused !== null) setResultAndStopExecution({ errors: [refused] });
  },
};

/** Our own errors are told as they are; the database's only where they say something a caller can act on. */
function maskError(error: unknown, message: string): Error {
  const original = (error as { originalError?: unknown }).originalError;
  if (error instanceof GraphQLError && (original === undefined || original instanceof GraphQLError))
    return error;
  if (isNotIndexedYet(original)) return coded("The indexer has not published its tables yet.", "NOT_INDEXED");
  if ((original as { code?: string }).code === "57014") {
    return coded(`A part of the query took more than ${statementMsMax} ms.`, "TIMEOUT");
  }
  console.error(original);
  return coded(message, "INTERNAL");
}

function coded(message: string, code: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}

function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: "api_" });
  const requests = new Counter({
    name: "api_requests_total",
    help: "GraphQL requests, by HTTP status.",
    labelNames: ["status"],
    registers,
  });
  const seconds = new Histogram({
    name: "api_request_seconds",
    help: "Time of a GraphQL request.",
    registers,
  });
  return { registry, requests, seconds };
}
