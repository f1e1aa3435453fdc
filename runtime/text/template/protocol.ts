/** One rendering, sent to the process that renders. */
export interface RenderTask {
  readonly template: string;
  /** `messages`, `tools`, special tokens and what else the template may ask for. Plain data. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** Milliseconds since 1970, UTC, for `strftime_now`. */
  readonly nowMs: number;
  /** Time it may take, in ms. */
  readonly timeoutMs: number;
}

/** Its answer. `refused`: the template called raise_exception. `failed`: it is no template, or breaks on the data. */
export type RenderReply =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "refused" | "failed"; readonly reason: string };

/** Longest text rendered, in characters. */
export const renderedCharactersMax = 4_000_000;
