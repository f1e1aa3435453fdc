import { customType } from "drizzle-orm/pg-core";

/** Unsigned or signed 256-bit integer as `numeric(78,0)`; wei and wad amounts. */
export const wei = customType<{ data: bigint; driverData: string }>({
  dataType: () => "numeric(78,0)",
  toDriver: (value) => value.toString(),
  fromDriver: (value) => BigInt(value),
});

/** 0x-prefixed lowercase hex as text, as Ponder's `hex` column. */
export const hex = customType<{ data: `0x${string}`; driverData: string }>({ dataType: () => "text" });
