import { Hono } from "hono";

/** Ponder requires this file. It serves /health, /ready, /status and /metrics itself; rows are read through `api/`. */
const app = new Hono();

app.get("/", (context) => context.json({ service: "indexer" }));

export default app;
