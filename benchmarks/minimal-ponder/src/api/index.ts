import { Hono } from "hono";

/** Ponder wants this file. It serves nothing. */
export default new Hono();
