import { AdapterError } from "#runtime/lora/adapter";
import { type Graph, input, type Tensor } from "#runtime/onnx/graph";
import * as op from "#runtime/onnx/ops";
import type { ModelFolder } from "#runtime/weights/model-folder";
import { type Decoder, type Linear, linearsOf } from "./description.ts";
import { type Build, frozenBuild, frozenOf } from "./skeleton.ts";

/** A matrix with a low-rank change: its full module name, the rank, and the factor on B·A. */
export interface AdaptedModule {
  readonly name: string;
  readonly rank: number;
  readonly scale: number;
}

/** One of the two factors of a module; as a graph's input and in names: `<module>.a` or `<module>.b`. */
export interface FactorInput {
  readonly name: string;
  /** a: [rank, inSize]. b: [outSize, rank]. */
  readonly shape: readonly [number, number];
  readonly factor: op.Factor;
}

/** How the gradient of a factor is formed; `op.summed` unless the purpose wants it otherwise. */
export type MakeFactor = (graph: Graph, value: Tensor) => op.Factor;

/** The adapted modules with the matrices they change, in the order those are applied. */
export type Targets = ReadonlyMap<string, { readonly linear: Linear; readonly module: AdaptedModule }>;

/**
 * Find the matrices that modules name.
 * @throws AdapterError with code `adapter-mismatch` naming a module that the model lacks.
 */
export function findTargets(decoder: Decoder, modules: readonly AdaptedModule[]): Targets {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const targets = new Map<string, { linear: Linear; module: AdaptedModule }>();
  for (const linear of linearsOf(decoder)) {
    const module = byName.get(linear.name);
    if (module) targets.set(linear.name, { linear, module });
  }
  for (const { name } of modules) {
    if (!targets.has(name)) throw new AdapterError("adapter-mismatch", name, "the model has no such module");
  }
  return targets;
}

/** A build in which the target matrices carry changes whose factors are inputs of the graph. */
export function adaptedBuild(
  graph: Graph,
  folder: ModelFolder,
  targets: Targets,
  makeFactor: MakeFactor = op.summed,
): { build: Build; factors: FactorInput[] } {
  const frozen = frozenBuild(graph, folder);
  const changes = new Map<string, op.LowRank>();
  const factors: FactorInput[] = [];
  const declare = (name: string, shape: readonly [number, number]): op.Factor => {
    const factor = makeFactor(graph, input(graph, name, "float32", shape));
    factors.push({ name, shape, factor });
    return factor;
  };
  for (const [name, { linear, module }] of targets) {
    changes.set(name, {
      a: declare(`${name}.a`, [module.rank, linear.inSize]),
      b: declare(`${name}.b`, [linear.outSize, module.rank]),
      scale: module.scale,
    });
  }
  const apply = (linear: Linear, x: Tensor): Tensor => {
    const change = changes.get(linear.name);
    if (!change) return frozen.apply(linear, x);
    return op.adaptedLinear(graph, x, frozenOf(graph, folder, linear), change);
  };
  return { build: { ...frozen, apply }, factors };
}
