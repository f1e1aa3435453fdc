import { daCertVerdict } from "ponder:schema";
import type { Args } from "./handler.ts";

export async function applyDaCertVerified({ event, context }: Args<"DaCertMirror:DACertVerified">) {
  await context.db.insert(daCertVerdict).values({ ...event.args, eventId: event.id });
}
