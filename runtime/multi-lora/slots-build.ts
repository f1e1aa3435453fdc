import { type Linear, linearsOf } from "#runtime/decoder/description";
import type { MakeBuild } from "#runtime/decoder/inference-graphs";
import { frozenBuild } from "#runtime/decoder/skeleton";
import { type Graph, input, share, type Tensor } from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";

/**
 * A build whose rows each follow an adapter of their own. The adapters of a batch stand in G slots, and its rows
 * in a grid of L lines by G slots: a cell (l, g) is a row that follows the adapter of slot g. Inputs:
 * `slots.<module>.a` [G, r, in] and `slots.<module>.b` [G, r, out] (scale included), `adapterCells` int64[L, G],
 * the row of each cell, and `adapterPlaces` int64[B], the cell of each row, counted l·G + g. Then
 * y = x·Wᵀ + change, where the change of a cell is (x·Aᵀ)·B of its own slot alone: work grows with the rows, not
 * with rows times adapters, no factor is copied for a row, and no row meets the factors of another.
 */
export function slotsBuild(adaptable: (linear: Linear) => boolean): MakeBuild {
  return (graph, folder) => {
    const frozen = frozenBuild(graph, folder);
    const grid = {
      cells: input(graph, "adapterCells", "int64", ["L", "G"]),
      places: input(graph, "adapterPlaces", "int64", ["B"]),
    };
    const factors = new Map(
      linearsOf(folder.config)
        .filter(adaptable)
        .map(({ name, inSize, outSize }) => [
          name,
          {
            a: input(graph, `slots.${name}.a`, "float32", ["G", "r", inSize]),
            b: input(graph, `slots.${name}.b`, "float32", ["G", "r", outSize]),
          },
        ]),
    );
    return {
      ...frozen,
      apply: (linear, x) => {
        const base = frozen.apply(linear, x);
        const found = factors.get(linear.name);
        return found ? op.add(graph, base, change(graph, x, found, grid)) : base;
      },
    };
  };
}

/** x[N, in] → [N, out]; N is B for a step, where T is 1, and B·T for whole sequences, or R rows of a lone one. */
function change(
  graph: Graph,
  x: Tensor,
  { a, b }: { a: Tensor; b: Tensor },
  { cells, places }: { cells: Tensor; places: Tensor },
): Tensor {
  const [rows, inSize] = x.shape;
  const outSize = b.shape[2]!;
  const tokens = rows === "B" ? 1 : rows === "N" ? "T" : rows!;
  const own = share(graph, `cells of ${x.name}`, () =>
    op.rows(graph, op.reshape(graph, x, ["B", tokens, inSize!]), cells),
  );
  const changed = op.matmul(graph, op.matmul(graph, own, op.flip(graph, a)), b);
  const flat = op.reshape(graph, changed, ["L*G", tokens, outSize]);
  return op.reshape(graph, op.rows(graph, flat, places), [rows!, outSize]);
}
