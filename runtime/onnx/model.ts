import type { Attribute, ElementType, Graph, Initializer, Node, Tensor } from "./graph.ts";
import * as wire from "./wire.ts";

/** Operator set the ops in `ops.ts` are written for, and the IR version the ONNX release notes (1.15) pair with it. */
const plainVersions = { opset: 20, ir: 9 };

/** The first with blocks of 4-bit integers (1.16): for graphs that have them. */
const packedVersions = { opset: 21, ir: 10 };

/** ONNX Runtime's own operators, which are in a domain of theirs. */
const contributedOps: ReadonlySet<string> = new Set(["MatMulNBits"]);
const contributedDomain = "com.microsoft";

const dataTypes: Record<ElementType, number> = {
  float32: 1,
  uint8: 2,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
  uint4: 21,
};
const attributeTypes = { float: 1, int: 2, string: 3, ints: 7 };
const externalLocation = 1;

/**
 * Encode a graph as an ONNX `ModelProto`. The same graph always gives the same bytes.
 * Field numbers follow onnx.proto3 (onnx 1.15); only the messages used here are covered.
 */
export function encode(graph: Graph): Uint8Array {
  const hasBlocks = graph.nodes.some(({ op }) => op === "DequantizeLinear");
  const { opset, ir } = hasBlocks ? packedVersions : plainVersions;
  const isContributed = graph.nodes.some(({ op }) => contributedOps.has(op));
  return wire.join([
    wire.integer(1, ir),
    wire.text(2, "tributary"),
    wire.message(7, graphProto(graph)),
    wire.message(8, [wire.integer(2, opset)]),
    ...(isContributed ? [wire.message(8, [wire.text(1, contributedDomain), wire.integer(2, 1)])] : []),
  ]);
}

function graphProto(graph: Graph): wire.Chunk[] {
  return [
    ...graph.nodes.map((node) => wire.message(1, nodeProto(node))),
    wire.text(2, graph.name),
    ...graph.initializers.map((initializer) => wire.message(5, tensorProto(initializer))),
    ...graph.inputs.map((tensor) => wire.message(11, valueInfoProto(tensor))),
    ...graph.outputs.map((tensor) => wire.message(12, valueInfoProto(tensor))),
  ];
}

function nodeProto(node: Node): wire.Chunk[] {
  return [
    ...node.inputs.map((name) => wire.text(1, name)),
    ...node.outputs.map((name) => wire.text(2, name)),
    wire.text(3, node.outputs[0] ?? node.op),
    wire.text(4, node.op),
    ...(contributedOps.has(node.op) ? [wire.text(7, contributedDomain)] : []),
    ...Object.entries(node.attributes).map(([name, value]) => wire.message(5, attributeProto(name, value))),
  ];
}

function attributeProto(name: string, value: Attribute): wire.Chunk[] {
  if (typeof value === "number") {
    return [wire.text(1, name), wire.integer(3, value), wire.integer(20, attributeTypes.int)];
  }
  if ("float" in value) {
    return [wire.text(1, name), wire.float(2, value.float), wire.integer(20, attributeTypes.float)];
  }
  if ("text" in value) {
    return [wire.text(1, name), wire.text(4, value.text), wire.integer(20, attributeTypes.string)];
  }
  return [wire.text(1, name), wire.packedIntegers(8, value), wire.integer(20, attributeTypes.ints)];
}

function tensorProto({ tensor, data }: Initializer): wire.Chunk[] {
  const head = [
    wire.packedIntegers(1, tensor.shape.map(Number)),
    wire.integer(2, dataTypes[tensor.type]),
    wire.text(8, tensor.name),
  ];
  if (data.kind === "inline") return [...head, wire.bytes(9, data.bytes)];
  return [
    ...head,
    entryProto("location", data.file),
    entryProto("offset", String(data.offset)),
    entryProto("length", String(data.bytes)),
    wire.integer(14, externalLocation),
  ];
}

function entryProto(key: string, value: string): wire.Chunk {
  return wire.message(13, [wire.text(1, key), wire.text(2, value)]);
}

function valueInfoProto(tensor: Tensor): wire.Chunk[] {
  const dims = tensor.shape.map((dim) =>
    wire.message(1, [typeof dim === "number" ? wire.integer(1, dim) : wire.text(2, dim)]),
  );
  const tensorType = [wire.integer(1, dataTypes[tensor.type]), wire.message(2, dims)];
  return [wire.text(1, tensor.name), wire.message(2, [wire.message(1, tensorType)])];
}
