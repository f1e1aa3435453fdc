/**
 * A consumer as a process of its own: copies each event into `test.seen` and sends one pg-boss job for it. After
 * `LIFETIME` events it kills itself inside the transaction, the way a power cut would; with 0 it never does.
 *
 *   node indexer/test/consumer.ts DATABASE_URL RPC_URL LIFETIME
 */
import { sql } from "drizzle-orm";
import { fromDrizzle, PgBoss } from "pg-boss";
import { consumeEvents } from "#schema/consume";
import { openDatabase } from "#schema/database";
import { publicClient } from "#schema/testing/stack";

const [databaseUrl, rpcUrl, lifetime] = process.argv.slice(2) as [string, string, string];
const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());

await using database = openDatabase({ url: databaseUrl, applicationName: "test-consumer", connections: 3 });
await database.sql`create schema if not exists test`;
await database.sql`
  create table if not exists test.seen (event_id text not null, block_hash text not null, pid int not null)`;
const boss = new PgBoss({ connectionString: databaseUrl, max: 1, supervise: false, schedule: false });
await boss.start();
await boss.createQueue("seen");

let events = 0;
await consumeEvents({
  database,
  client: publicClient(rpcUrl),
  name: "test",
  signal: stopping.signal,
  pollMs: 200,
  async apply(tx, event) {
    await tx.execute(sql`insert into test.seen values (${event.id}, ${event.blockHash}, ${process.pid})`);
    await boss.send("seen", { eventId: event.id }, { db: fromDrizzle(tx, sql) });
    events += 1;
    if (events === Number(lifetime)) process.kill(process.pid, "SIGKILL");
  },
});
await boss.stop({ graceful: false });
console.log(`consumed ${events}`);
