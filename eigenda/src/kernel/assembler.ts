/** Just enough of the WebAssembly binary format to write straight-line 64-bit arithmetic. Numbers: W3C WebAssembly Core 2.0, §5. */

/** Instructions as bytes, in stack order; nested for cheap composition. */
export type Code = number | readonly Code[];

export const i64 = {
  const: (value: bigint): Code => [0x42, signedLeb(value)],
  add: (a: Code, b: Code): Code => [a, b, 0x7c],
  sub: (a: Code, b: Code): Code => [a, b, 0x7d],
  mul: (a: Code, b: Code): Code => [a, b, 0x7e],
  and: (a: Code, b: Code): Code => [a, b, 0x83],
  shiftRight: (a: Code, bits: number): Code => [a, i64.const(BigInt(bits)), 0x88],
  shiftRightSigned: (a: Code, bits: number): Code => [a, i64.const(BigInt(bits)), 0x87],
  isBelow: (a: Code, b: Code): Code => [a, b, 0x53],
  /** Reads 32 bits, unsigned, at the address in `pointer` plus `offset`. */
  load32: (pointer: Code, offset: number): Code => [pointer, 0x35, 2, leb(offset)],
  store32: (pointer: Code, offset: number, value: Code): Code => [pointer, value, 0x3e, 2, leb(offset)],
  /** `a` where the condition is not zero, else `b`. */
  select: (condition: Code, a: Code, b: Code): Code => [a, b, condition, 0x1b],
};

export const local = {
  get: (index: number): Code => [0x20, leb(index)],
  set: (index: number, value: Code): Code => [value, 0x21, leb(index)],
};

/** A function of `pointers` 32-bit addresses that returns nothing and works in `scratch` 64-bit locals behind them. */
export type FunctionCode = { name: string; pointers: number; scratch: number; body: Code };

/** A module that imports `env.memory` and exports the functions by name. */
export function assemble(functions: readonly FunctionCode[]): Uint8Array<ArrayBuffer> {
  const arities = [...new Set(functions.map(({ pointers }) => pointers))];
  const types = arities.map((pointers) => [0x60, vector(Array<Code>(pointers).fill(0x7f)), 0]);
  const imports = [[name("env"), name("memory"), 0x02, 0x00, leb(1)]];
  const declared = functions.map(({ pointers }) => leb(arities.indexOf(pointers)));
  const exported = functions.map((code, index) => [name(code.name), 0x00, leb(index)]);
  const bodies = functions.map(({ scratch, body }) => sized([vector([[leb(scratch), 0x7e]]), body, 0x0b]));
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  const sections = [
    [1, types],
    [2, imports],
    [3, declared],
    [7, exported],
    [10, bodies],
  ] as const;
  return Uint8Array.from(flatten([header, sections.map(([id, entries]) => [id, sized(vector(entries))])]));
}

function vector(entries: readonly Code[]): Code {
  return [leb(entries.length), entries];
}

/** The code after its size in bytes. */
function sized(code: Code): Code {
  const bytes = flatten(code);
  return [leb(bytes.length), bytes];
}

function flatten(code: Code, into: number[] = []): number[] {
  if (typeof code === "number") into.push(code);
  else for (const part of code) flatten(part, into);
  return into;
}

function name(text: string): Code {
  return vector([...Buffer.from(text)]);
}

function leb(value: number): Code {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

function signedLeb(value: bigint): Code {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 63n || rest < -64n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest & 0x7fn)];
}
