/**
 * Inner products of int8 rows with an int16 query in WebAssembly SIMD: 16 products an instruction pair, where plain
 * JavaScript does one. Sums are int32 and exact, so every machine gets the same integers. Assembled by hand from the
 * W3C WebAssembly Core 2.0 specification, §5.4; the text beside the bytes is its source.
 */

/** Pages of 64 KiB a store's memory may have: 32-bit addresses end at 4 GiB. */
export const kernelPagesMax = 65_535;
export const pageBytes = 65_536;

/** Rows are read 16 bytes at a time. */
export const rowAlignment = 16;

/**
 * `products(rows, columns, stride, count, query, out)`: out[i] = Σⱼ rows[i · stride + j] · query[j] as int32, for
 * j < columns, a multiple of 16. Addresses in bytes; `query` holds int16, `out` int32. `count` and `columns` ≥ 1.
 */
export type Products = (
  rows: number,
  columns: number,
  stride: number,
  count: number,
  query: number,
  out: number,
) => void;

/** Largest query entry for which no int32 sum overflows: `columns` products of at most 127 · entry. */
export function queryEntryMax(columns: number): number {
  return Math.min(32_767, Math.floor((2 ** 31 - 1) / (127 * columns)));
}

/** Memory that threads may share: a store of a gigabyte is held once per process. */
export function sharedMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / pageBytes);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

export function productsOver(memory: WebAssembly.Memory): Products {
  compiled ??= new WebAssembly.Module(moduleBytes());
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  return exports.products as Products;
}

let compiled: WebAssembly.Module | undefined;

const [rows, columns, stride, count, query, out, at, end, q, outEnd, acc, bytes] = Array.from(
  { length: 12 },
  (_, index) => index,
) as [number, number, number, number, number, number, number, number, number, number, number, number];

const get = (index: number) => [0x20, index];
const set = (index: number) => [0x21, index];
const i32 = 0x7f;
const v128 = 0x7b;
const addI32 = 0x6a;
const simd = (opcode: number) =>
  opcode < 128 ? [0xfd, opcode] : [0xfd, (opcode & 0x7f) | 0x80, opcode >> 7];
const load = (offset: number) => [...simd(0), 0, offset];
const extendLow = simd(0x87);
const extendHigh = simd(0x88);
const dotPairs = simd(0xba);
const addLanes = simd(0xae);
const lane = (index: number) => [...get(acc), ...simd(0x1b), index];

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const section = (id: number, content: number[]) => [id, content.length, ...content];
  const text = (value: string) => [value.length, ...Buffer.from(value)];
  const body = [...locals(), ...code(), 0x0b];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, 0x60, 6, i32, i32, i32, i32, i32, i32, 0]),
    // (import "env" "memory" (memory 1 65536 shared))
    ...section(2, [1, ...text("env"), ...text("memory"), 0x02, 0x03, 1, 0x80, 0x80, 0x04]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("products"), 0x00, 0]),
    10,
    ...leb(body.length + leb(body.length).length + 1),
    1,
    ...leb(body.length),
    ...body,
  ]);
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, value >> 7];
}

/** at, end, q, outEnd: i32; acc, bytes: v128. */
function locals(): number[] {
  return [2, 4, i32, 2, v128];
}

function code(): number[] {
  const half = (extend: number[], offset: number) => [
    ...[...get(bytes), ...extend],
    ...[...get(q), ...load(offset)],
    ...dotPairs,
  ];
  const inner = [
    ...[...get(at), ...load(0), ...set(bytes)],
    ...[...get(acc), ...half(extendLow, 0), ...half(extendHigh, 16), ...addLanes, ...addLanes, ...set(acc)],
    ...[...get(at), 0x41, 16, addI32, ...set(at)],
    ...[...get(q), 0x41, 32, addI32, ...set(q)],
    // br_if 0 (i32.lt_u at end)
    ...[...get(at), ...get(end), 0x49, 0x0d, 0],
  ];
  const outer = [
    // acc = i32x4.splat 0; at = rows; end = rows + columns; q = query
    ...[0x41, 0, ...simd(0x11), ...set(acc)],
    ...[...get(rows), ...set(at)],
    ...[...get(rows), ...get(columns), addI32, ...set(end)],
    ...[...get(query), ...set(q)],
    ...[0x03, 0x40, ...inner, 0x0b],
    // i32.store out (the sum of the four lanes)
    ...[...get(out), ...lane(0), ...lane(1), addI32, ...lane(2), ...lane(3), addI32, addI32, 0x36, 2, 0],
    ...[...get(rows), ...get(stride), addI32, ...set(rows)],
    ...[...get(out), 0x41, 4, addI32, ...set(out)],
    ...[...get(out), ...get(outEnd), 0x49, 0x0d, 0],
  ];
  // outEnd = out + 4 · count; loop outer
  return [
    ...[...get(out), ...get(count), 0x41, 4, 0x6c, addI32, ...set(outEnd)],
    ...[0x03, 0x40, ...outer, 0x0b],
  ];
}
