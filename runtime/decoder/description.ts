/**
 * A decoder-only transformer described as plain data: which published tensors each block reads and what
 * it does with them. A family file turns a config.json into one of these; `skeleton.ts` turns it into
 * graphs. Names are full module names, as PEFT counts them; tensors are `<name>.weight` and `<name>.bias`.
 */
export interface Decoder {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  /** Longest sequence a graph accepts, in tokens. */
  readonly contextTokensMax: number;
  readonly headCount: number;
  /** Heads of keys and values; each serves headCount / keyValueHeadCount queries. */
  readonly keyValueHeadCount: number;
  readonly headSize: number;
  readonly embedding: Embedding;
  readonly layers: readonly Layer[];
  readonly norm: Norm;
  readonly head: { readonly name: string; readonly cap: number | null };
  /** Start of module names that files of the bare model leave out. */
  readonly omittedPrefix: string | null;
  /** Sources of regular expressions for tensors that some files hold and nothing reads. */
  readonly unusedTensors: readonly string[];
}

export interface Embedding {
  readonly name: string;
  /** Factor on what is looked up. */
  readonly scale: number;
  /** Learned vectors of positions, added. */
  readonly positions: { readonly name: string; readonly rows: number } | null;
  readonly norm: Norm | null;
}

export interface Layer {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  /** `parallel`: both read the layer's input. `sequential`: the second reads the first's result. */
  readonly wiring: "sequential" | "parallel";
}

export interface Attention {
  readonly norm: Norm;
  /**
   * Three modules, or one whose rows hold all: `blocks` [all queries, all keys, all values], or per
   * key/value head `groups` [its queries, its key, its value].
   */
  readonly input:
    | { readonly kind: "three"; readonly query: Linear; readonly key: Linear; readonly value: Linear }
    | { readonly kind: "blocks" | "groups"; readonly fused: Linear };
  readonly queryNorm: Norm | null;
  readonly keyNorm: Norm | null;
  readonly position: Rope | Alibi | null;
  /** Tokens a query sees, itself included; null for all before it. */
  readonly windowTokens: number | null;
  /** Factor on scores. */
  readonly scale: number;
  /** Bound on scores: cap · tanh(score / cap). */
  readonly cap: number | null;
  readonly output: Linear;
  readonly outputNorm: Norm | null;
}

export interface FeedForward {
  /** Null where the attention's normed input is read again. */
  readonly norm: Norm | null;
  /** `gated`: activation(gate) · up. `fusedGate`: one module holds [gate, up]. `plain`: activation(up). */
  readonly input:
    | { readonly kind: "gated"; readonly gate: Linear; readonly up: Linear }
    | { readonly kind: "fusedGate"; readonly fused: Linear }
    | { readonly kind: "plain"; readonly up: Linear };
  readonly activation: "silu" | "gelu" | "geluTanh";
  readonly output: Linear;
  readonly outputNorm: Norm | null;
}

/** A matrix and perhaps a bias. Stored [outSize, inSize], or [inSize, outSize] where it lies `in-out`. */
export interface Linear {
  readonly name: string;
  readonly inSize: number;
  readonly outSize: number;
  readonly hasBias: boolean;
  readonly lies: "out-in" | "in-out";
}

/** `rms` has a weight, `rmsOffset` a weight counted from 1, `layer` a weight and a bias. */
export interface Norm {
  readonly kind: "rms" | "rmsOffset" | "layer";
  readonly name: string;
  readonly size: number;
  readonly epsilon: number;
}

/** Rotary positions over the first `width` channels of a head; pairs are halves apart or neighbours. */
export interface Rope {
  readonly kind: "rope";
  readonly theta: number;
  readonly width: number;
  readonly pairs: "halves" | "neighbours";
  readonly scaling: RopeScaling;
}

/** How rotary positions are stretched beyond the trained length; `default` means not at all. */
export type RopeScaling =
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalTokens: number;
    };

/** Linear biases by distance (Press et al. 2022). Falcon's are rounded to bfloat16, then scaled as scores are. */
export interface Alibi {
  readonly kind: "alibi";
  readonly rounding: "none" | "falcon";
}

/** Every matrix an adapter can change, in the order they are applied. */
export function linearsOf(decoder: Decoder): Linear[] {
  return decoder.layers.flatMap(({ attention, feedForward }) => {
    const { input } = attention;
    const wide = feedForward.input;
    return [
      ...(input.kind === "three" ? [input.query, input.key, input.value] : [input.fused]),
      attention.output,
      ...(wide.kind === "gated" ? [wide.gate, wide.up] : [wide.kind === "plain" ? wide.up : wide.fused]),
      feedForward.output,
    ];
  });
}

/** Published tensor names and shapes of a decoder. */
export function expectedTensors(decoder: Decoder): Map<string, number[]> {
  const { vocabularySize, hiddenSize, embedding } = decoder;
  const shapes = new Map([[`${embedding.name}.weight`, [vocabularySize, hiddenSize]]]);
  shapes.set(`${decoder.head.name}.weight`, [vocabularySize, hiddenSize]);
  if (embedding.positions) {
    shapes.set(`${embedding.positions.name}.weight`, [embedding.positions.rows, hiddenSize]);
  }
  for (const { kind, name, size } of normsOf(decoder)) {
    shapes.set(`${name}.weight`, [size]);
    if (kind === "layer") shapes.set(`${name}.bias`, [size]);
  }
  for (const { name, inSize, outSize, hasBias, lies } of linearsOf(decoder)) {
    shapes.set(`${name}.weight`, lies === "out-in" ? [outSize, inSize] : [inSize, outSize]);
    if (hasBias) shapes.set(`${name}.bias`, [outSize]);
  }
  return shapes;
}

function normsOf(decoder: Decoder): Norm[] {
  const inLayers = decoder.layers.flatMap(({ attention, feedForward }) => [
    attention.norm,
    attention.queryNorm,
    attention.keyNorm,
    attention.outputNorm,
    feedForward.norm,
    feedForward.outputNorm,
  ]);
  return [decoder.embedding.norm, ...inLayers, decoder.norm].filter((norm) => norm !== null);
}
