import { is } from "drizzle-orm";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import type { Sql } from "postgres";
import { concatHex, type Hex, keccak256, stringToBytes } from "viem";
import { onchain, viewsSchema } from "./bind.ts";
import * as engine from "./offchain/40-engine.ts";
import * as settlement from "./offchain/50-settlement.ts";

/**
 * What two states are compared by. `full`: a database and its rebuild from the same chain must be equal to the last
 * column. `content`: the same work done on two chains; leaves out what the chain's own pace decides, and where the
 * nodes listen.
 */
export type StateHashMode = "full" | "content";

export type TableHash = { table: string; rows: number; hash: Hex };
export type StateHash = { hash: Hex; tables: TableHash[] };

/** Offchain tables that are rebuilt from chain and DA; the others hold jobs, cursors and the node's own state. */
const rebuildable: PgTable[] = [
  engine.payload,
  engine.chunk,
  engine.receipt,
  engine.candidate,
  engine.duplicate,
  engine.adapter,
  engine.trainingRecord,
  engine.score,
  engine.influence,
  settlement.epochRun,
  settlement.entry,
  settlement.reward,
  settlement.carried,
  settlement.standing,
  settlement.leftOut,
  settlement.unavailable,
  settlement.reputation,
  settlement.slashProposal,
];

/** Columns of our own run, which a rebuild does not repeat, as table.column. */
const volatileColumns = new Set(
  ["da_commitment", "da_ref", "propose_tx", "finalize_tx", "updated_at"].map((name) => `epoch_run.${name}`),
);

/** Columns that depend on when a block or a blob was made, or on the machine, by name or as table.column. */
const paceColumns = new Set([
  ...["event_id", "block_number", "block_hash", "block_timestamp", "tx_hash", "log_index"],
  ...["submitted_block", "submitted_tx", "resolved_block", "resolved_tx", "retracted_block", "retracted_tx"],
  ...["proposed_block", "proposed_tx", "finalized_block", "finalized_tx", "created_block"],
  ...["vote_start", "ruling_end", "answer_end", "expires_at", "access_until", "paused_until", "since"],
  ...["ready_at", "eta_seconds", "schedule", "l1_block"],
  ...["from_block", "to_block", "vote_end", "unlock_at", "deadline", "withdraw_finalize_after"],
  ...["da_commitment", "da_ref", "blob_key"],
  ...["event.id", "event.args", "epoch.content_hash", "epoch_run.content_hash", "epoch_run.payload"],
  "serving_node.endpoint",
]);
/** The provenance payload (kind 3) names blocks. */
const provenanceKind = 3;

/**
 * keccak-256 over all rows of the onchain and the rebuildable offchain tables. A row is its columns in the schema's
 * order, separated by `,`, each `-` for null or its length in bytes, `:`, PostgreSQL's text (`bytea`: its sha256 in
 * hex); a table is the ascending list of its rows' hashes; the state is the list of (name, number of rows, hash) in the schema's order. Read in one
 * snapshot. The order in which rows were written leaves no trace. What a left-out batch holds is no part of it, nor are
 * adapters whose training an epoch's poster could not have.
 */
export async function stateHash(sql: Sql, mode: StateHashMode): Promise<StateHash> {
  const tables = await sql.begin("isolation level repeatable read read only", async (tx) => {
    const hashes: TableHash[] = [];
    for (const table of hashedTables()) {
      hashes.push(await hashTable(tx as unknown as Sql, table, mode));
    }
    return hashes;
  });
  const list = tables.map(({ table, rows, hash }) => `${table} ${rows} ${hash}\n`).join("");
  return { hash: keccak256(stringToBytes(list)), tables };
}

function hashedTables(): PgTable[] {
  return [...Object.values(onchain).filter((table) => is(table, PgTable)), ...rebuildable];
}

/** Columns that are left out by a name no hashed table has: of one that was renamed, and is compared again unawares. */
export function staleColumns(): string[] {
  const columns = hashedTables().flatMap((table) => {
    const { name, columns: own } = getTableConfig(table);
    return own.flatMap((column) => [column.name, `${name}.${column.name}`]);
  });
  const known = new Set(columns);
  return [...volatileColumns, ...paceColumns].filter((name) => !known.has(name));
}

/** Names of the tables that differ, with both hashes; empty when the states are equal. */
export function compareStates(left: StateHash, right: StateHash): string[] {
  return left.tables.flatMap(({ table, rows, hash }, index) => {
    const other = right.tables[index];
    if (other?.table === table && other.hash === hash) return [];
    return [`${table}: ${rows} rows ${hash} ≠ ${other?.rows ?? 0} rows ${other?.hash ?? "none"}`];
  });
}

const rowsPerRead = 1_000;

async function hashTable(sql: Sql, table: PgTable, mode: StateHashMode): Promise<TableHash> {
  const { schema, name, columns: all } = getTableConfig(table);
  const columns = all.filter((column) => isHashed(name, column.name, mode));
  const texts = columns.map((column, index) => {
    const isBytes = column.getSQLType() === "bytea";
    const value = isBytes ? sql`encode(sha256(${sql(column.name)}), 'hex')` : sql`${sql(column.name)}::text`;
    return index === 0 ? value : sql`, ${value}`;
  });
  const filter = filterOf(sql, name, mode);
  const query = sql`select json_build_array(${texts}) as fields from ${sql(`${schema}.${name}`)} ${filter}`;
  const rowHashes: Hex[] = [];
  for await (const rows of query.cursor(rowsPerRead)) {
    for (const row of rows) rowHashes.push(keccak256(stringToBytes(encodeRow(row.fields))));
  }
  rowHashes.sort();
  return { table: `${schema}.${name}`, rows: rowHashes.length, hash: keccak256(concatHex(rowHashes)) };
}

/** Receipts of batches that an epoch left out: a blob that could not be had then may have turned up since. */
const leftOutReceipts = (sql: Sql) =>
  sql`select digest from engine.receipt where batch_id in (select batch_id from settlement.left_out)`;
/** Models whose training an epoch's poster could not have: it may have turned up since, and their receipts have scores. */
const untrainedModels = (sql: Sql) =>
  sql`select substr(subject, 10) from settlement.unavailable where subject like 'training:%'`;

function filterOf(sql: Sql, name: string, mode: StateHashMode) {
  if (name === "receipt") return sql`where digest not in (${leftOutReceipts(sql)})`;
  if (name === "candidate") return sql`where receipt_digest not in (${leftOutReceipts(sql)})`;
  if (name === "score" || name === "influence")
    return sql`where receipt_digest not in (${leftOutReceipts(sql)}) and receipt_digest not in
      (select digest from engine.receipt where model_id in (${untrainedModels(sql)}))`;
  if (name === "adapter" || name === "training_record")
    return sql`where model_id not in (${untrainedModels(sql)})`;
  if (name !== "payload") return sql``;
  const views = (table: string) => sql(`${viewsSchema}.${table}`);
  const kept = sql`content_hash not in
    (select content_hash from ${views("batch")} where id in (select batch_id from settlement.left_out)) and content_hash not in
    (select manifest_hash from ${views("training_manifest")} where model_id in (${untrainedModels(sql)}))`;
  return mode === "content" ? sql`where kind <> ${provenanceKind} and ${kept}` : sql`where ${kept}`;
}

function isHashed(table: string, column: string, mode: StateHashMode): boolean {
  const qualified = `${table}.${column}`;
  if (volatileColumns.has(qualified)) return false;
  return mode === "full" || !(paceColumns.has(column) || paceColumns.has(qualified));
}

function encodeRow(fields: (string | null)[]): string {
  return fields.map((field) => (field === null ? "-" : `${Buffer.byteLength(field)}:${field}`)).join(",");
}
