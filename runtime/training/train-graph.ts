import { adaptedBuild, type Targets } from "#runtime/decoder/adapted";
import { project, runSequences } from "#runtime/decoder/skeleton";
import { create, type Graph, input, output, withoutUnused } from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";
import { gradients } from "#runtime/onnx/tape";
import type { ModelFolder } from "#runtime/weights/model-folder";

/**
 * One training step without its update. Inputs: tokenIds int64[B, T], positions int64[B, T] (from 0 in each
 * document), segments int64[B, T] (documents of one row that do not see each other have different ones),
 * targetRows int64[R] (indices into B·T of rows that predict), targetIds int64[R], targetWeights[R], and
 * `<module>.a` [r, in], `<module>.b` [out, r] per target.
 * Outputs: loss, the scalar Σ weight · −log p(target) in nats, and `gradient.<module>.a` and `.b`.
 * Rows that predict nothing never meet the output matrix.
 */
export function trainGraph(folder: ModelFolder, targets: Targets): Graph {
  const graph = create("train");
  const { loss, factors } = lossOf(graph, folder, targets);
  const found = gradients(
    graph,
    loss,
    factors.map(({ factor }) => factor.target),
  );
  output(graph, "loss", loss);
  factors.forEach(({ name }, index) => {
    output(graph, `gradient.${name}`, found[index]!);
  });
  return withoutUnused(graph);
}

/**
 * How a train graph is loaded. Its weights serve both directions as they lie in their file, where packing would
 * keep a copy for each; and no second block of memory is taken beside the one that the first run grew.
 */
export const trainSession = { weightMode: "mapped", hasMemoryPattern: false } as const;

/** The same inputs → loss alone: for evaluation. */
export function evaluationGraph(folder: ModelFolder, targets: Targets): Graph {
  const graph = create("evaluation");
  output(graph, "loss", lossOf(graph, folder, targets).loss);
  return graph;
}

function lossOf(graph: Graph, folder: ModelFolder, targets: Targets) {
  const tokenIds = input(graph, "tokenIds", "int64", ["B", "T"]);
  const positions = input(graph, "positions", "int64", ["B", "T"]);
  const segments = input(graph, "segments", "int64", ["B", "T"]);
  const targetRows = input(graph, "targetRows", "int64", ["R"]);
  const targetIds = input(graph, "targetIds", "int64", ["R"]);
  const targetWeights = input(graph, "targetWeights", "float32", ["R"]);
  const { build, factors } = adaptedBuild(graph, folder, targets);
  const { hidden } = runSequences(build, tokenIds, { kind: "packed", positions, segments });
  const logits = project(build, op.rows(graph, hidden, targetRows));
  const losses = op.crossEntropy(graph, logits, targetIds, targetWeights);
  return { loss: op.sumAll(graph, losses), factors };
}
