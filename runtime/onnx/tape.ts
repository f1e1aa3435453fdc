import { invariant } from "#runtime/errors";
import { constantFloat, constantIntegers, emit, type Graph, type Step, type Tensor } from "./graph.ts";

/** Gradient of an op's only output → gradient of one of its inputs, in that input's shape. */
export type Pullback = (gradient: Tensor) => Tensor;

/** Write a one-output op on the tape: a pullback per input, undefined where there is no derivative. */
export function record(
  graph: Graph,
  inputs: readonly Tensor[],
  output: Tensor,
  pullbacks: readonly (Pullback | undefined)[],
): Tensor {
  const steps = pullbacks.map(
    (pull) =>
      pull &&
      (([gradient]: readonly (Tensor | undefined)[]) => {
        invariant(gradient, "a step is pulled back only when its output has a gradient");
        return pull(gradient);
      }),
  );
  recordMany(graph, { inputs, outputs: [output], pullbacks: steps });
  return output;
}

/** Write an op of several outputs on the tape. */
export function recordMany(graph: Graph, step: Step): void {
  invariant(step.pullbacks.length === step.inputs.length, "one pullback per input");
  graph.tape.push(step);
}

/** Run `build` without writing on the tape: for ops that state their own derivative, and for derivatives. */
export function unrecorded<Result>(graph: Graph, build: () => Result): Result {
  const length = graph.tape.length;
  const result = build();
  graph.tape.length = length;
  return result;
}

/**
 * Emit the gradients of `loss` (a scalar, or any shape: then of the sum of its elements weighted by
 * `seed`, which has its shape) with respect to each of `parameters`, in their shapes. Reverse mode: each
 * step of the tape between them is visited once, last first; what only parameters need is emitted after all of it,
 * in the opposite order, because ONNX Runtime runs first what the last node needs: gradients are then finished
 * while what they are made of is at hand. Source: Griewank and Walther 2008, §3.2.
 */
export function gradients(
  graph: Graph,
  loss: Tensor,
  parameters: readonly Tensor[],
  seed: Tensor = constantFloat(graph, 1),
): Tensor[] {
  invariant(loss.shape.join() === seed.shape.join(), `a seed has the loss's shape [${loss.shape}]`);
  const moving = dependents(graph, parameters);
  const found = new Map<string, Tensor>([[loss.name, seed]]);
  const made = new Set(graph.tape.flatMap(({ outputs }) => outputs.map(({ name }) => name)));
  const postponed: (() => void)[] = [];
  return unrecorded(graph, () => {
    for (const step of graph.tape.toReversed()) {
      const arriving = step.outputs.map(({ name }) => found.get(name));
      if (arriving.every((gradient) => gradient === undefined)) continue;
      step.inputs.forEach((tensor, index) => {
        const pull = step.pullbacks[index];
        if (!pull || !moving.has(tensor.name)) return;
        const add = () => addTo(graph, found, tensor, pull(arriving));
        if (made.has(tensor.name)) add();
        else postponed.push(add);
      });
    }
    for (const add of postponed.toReversed()) add();
    return parameters.map((parameter) => {
      const gradient = found.get(parameter.name);
      invariant(gradient, `the loss does not depend on ${parameter.name}`);
      return gradient;
    });
  });
}

/** Sum a gradient down to the shape of an input that numpy broadcasting had spread. */
export function unbroadcast(graph: Graph, gradient: Tensor, shape: Tensor["shape"]): Tensor {
  const extra = gradient.shape.length - shape.length;
  const leading = Array.from({ length: extra }, (_, axis) => axis);
  const summed = leading.length === 0 ? gradient : reduceSum(graph, gradient, leading, 0);
  const spread = shape.flatMap((dim, axis) => (dim === 1 && summed.shape[axis] !== 1 ? [axis] : []));
  return spread.length === 0 ? summed : reduceSum(graph, summed, spread, 1);
}

/** Names of the tensors that change when one of `parameters` does. */
function dependents(graph: Graph, parameters: readonly Tensor[]): Set<string> {
  const names = new Set(parameters.map(({ name }) => name));
  for (const { inputs, outputs, pullbacks } of graph.tape) {
    if (inputs.some(({ name }, index) => pullbacks[index] && names.has(name))) {
      for (const { name } of outputs) names.add(name);
    }
  }
  return names;
}

function addTo(graph: Graph, found: Map<string, Tensor>, tensor: Tensor, gradient: Tensor): void {
  invariant(
    gradient.shape.join() === tensor.shape.join(),
    `the gradient of ${tensor.name} [${tensor.shape}] has shape [${gradient.shape}]`,
  );
  const known = found.get(tensor.name);
  found.set(tensor.name, known ? sum(graph, known, gradient) : gradient);
}

function sum(graph: Graph, x: Tensor, y: Tensor): Tensor {
  const [total] = emit(graph, "Add", [x, y], [{ type: x.type, shape: x.shape }]);
  invariant(total, "Add has one output");
  return total;
}

function reduceSum(graph: Graph, x: Tensor, axes: readonly number[], keepdims: 0 | 1): Tensor {
  const shape =
    keepdims === 1
      ? x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
      : x.shape.filter((_, axis) => !axes.includes(axis));
  const inputs = [x, constantIntegers(graph, axes)];
  const [total] = emit(graph, "ReduceSum", inputs, [{ type: x.type, shape }], { keepdims });
  invariant(total, "ReduceSum has one output");
  return total;
}
