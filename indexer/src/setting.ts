import type { EventNames } from "ponder:registry";
import { setting } from "ponder:schema";
import type { Args } from "./handler.ts";

/** The newest value of something that governance sets. */
export async function setSetting<N extends EventNames>(
  { event, context }: Args<N>,
  contract: string,
  name: string,
  value: unknown,
): Promise<void> {
  const row = { value: String(value), eventId: event.id };
  await context.db
    .insert(setting)
    .values({ contract, name, ...row })
    .onConflictDoUpdate(row);
}
