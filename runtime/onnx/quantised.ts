import { invariant } from "#runtime/errors";
import { add } from "./elementwise.ts";
import { external, type Graph, share, type Tensor } from "./graph.ts";
import { gemm } from "./matrix.ts";
import { node } from "./node.ts";
import { record } from "./tape.ts";

/** Bytes of a file beside the model. */
export interface ByteRange {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * A frozen matrix W[O, I] in blocks of `blockSize` along I: w = (code − 2^(bits−1)) · scale of its block.
 * `codes` are unsigned, row after row, the earlier of two 4-bit codes in the low half of a byte; `scales` are
 * float32 [O, I / blockSize]. `zeros` holds the code of zero for each block, packed as codes are.
 */
export interface QuantisedMatrix {
  readonly name: string;
  readonly outSize: number;
  readonly inSize: number;
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly codes: ByteRange;
  readonly scales: ByteRange;
  readonly zeros: ByteRange;
}

export function isQuantised(weight: Tensor | QuantisedMatrix): weight is QuantisedMatrix {
  return "codes" in weight;
}

/**
 * x[N, I] · Wᵀ + bias[O] → [N, O] by ONNX Runtime's MatMulNBits, which never holds all of W in float32.
 * Computed in float32 (accuracy level 1), not with activations rounded to int8. Pullback x: g·W, over W
 * dequantised as it is needed: MatMulNBits itself has no derivative and reads W one way only.
 */
export function quantisedLinear(graph: Graph, x: Tensor, w: QuantisedMatrix, bias?: Tensor): Tensor {
  const [rows, inner] = x.shape;
  invariant(rows !== undefined && inner === w.inSize, `quantised ${w.name} of [${x.shape}]`);
  const blocks = w.inSize / w.blockSize;
  invariant(Number.isInteger(blocks), `${w.name} has whole blocks`);
  const codes = share(graph, `codes ${w.name}`, () => {
    const shape = [w.outSize, blocks, (w.blockSize * w.bits) / 8];
    return external(graph, { name: `${w.name}.codes`, type: "uint8", shape }, w.codes);
  });
  const attributes = { K: w.inSize, N: w.outSize, bits: w.bits, block_size: w.blockSize, accuracy_level: 1 };
  const product = node(graph, "MatMulNBits", [x, codes, scalesOf(graph, w)], [rows, w.outSize], attributes);
  record(graph, [x], product, [(g) => gemm(graph, g, dequantised(graph, w))]);
  return bias ? add(graph, product, bias) : product;
}

/** W[O, I] in float32: made anew in every run, and only in graphs that ask for it. */
export function dequantised(graph: Graph, w: QuantisedMatrix): Tensor {
  return share(graph, `dequantised ${w.name}`, () => {
    const type = w.bits === 4 ? "uint4" : "uint8";
    const [shape, blocks] = [
      [w.outSize, w.inSize],
      [w.outSize, w.inSize / w.blockSize],
    ];
    const matrix = external(graph, { name: `${w.name}.matrix`, type, shape }, w.codes);
    const zeros = external(graph, { name: `${w.name}.zeros`, type, shape: blocks }, w.zeros);
    const inputs = [matrix, scalesOf(graph, w), zeros];
    return node(graph, "DequantizeLinear", inputs, shape, { axis: 1, block_size: w.blockSize }, "float32");
  });
}

function scalesOf(graph: Graph, w: QuantisedMatrix): Tensor {
  return share(graph, `scales ${w.name}`, () => {
    const shape = [w.outSize, w.inSize / w.blockSize];
    return external(graph, { name: `${w.name}.scales`, type: "float32", shape }, w.scales);
  });
}
