import type { Generator } from "#runtime/inference/sampler";

/** How an answer's cause is hidden among the passages. */
export const factKinds = ["single", "duplicated", "split", "distractor", "paraphrased"] as const;
export type FactKind = (typeof factKinds)[number];

/** A question over passages whose causes are known because they were written so. */
export type Fact = {
  readonly kind: FactKind;
  readonly passages: readonly string[];
  readonly question: string;
  /** What the passages say; split over two of them it is two sentences. */
  readonly answer: string;
  /** Positions of the passages that hold the answer. */
  readonly gold: readonly number[];
  /** Position of the passage that says it in another order of words; null where none does. */
  readonly paraphrase: number | null;
};

const places =
  "Kelmar Dunwick Oslet Farrow Brindle Tarsk Velmont Ashby Corrin Halden Mirefield Pelworth Quarrel Redmere".split(
    " ",
  );
const things = "harbour library bridge market tower garden station mill museum canal".split(" ");
const verbs = "opens closes moves sells keeps hides counts paints".split(" ");
const objects = "boats lamps bells barrels ledgers carpets engines maps tickets ropes".split(" ");
const times = "at noon,before dawn,every winter,after the rain,on market days,in late spring".split(",");
const colours = "red green white amber violet silver".split(" ");

/**
 * A fact with its passages in a drawn order. `single`: one passage holds the answer. `duplicated`: two are the same to
 * the word. `split`: the answer joins sentences of two. `distractor`: one more passage speaks of the same thing in another
 * place, with another ending. `paraphrased`: one more says the same in another order of words.
 */
export function drawFact(kind: FactKind, passageCount: number, next: Generator): Fact {
  const used = new Set<string>();
  const subject = (thing = pick(things, next)): string => {
    for (;;) {
      const name = drawSubject(next, thing);
      if (used.has(name)) continue;
      used.add(name);
      return name;
    }
  };
  const first = subject();
  const { told, retold } = drawTexts(first, next);
  const golds = [told];
  if (kind === "duplicated") golds.push(told);
  if (kind === "split") golds.push(drawTexts(subject(), next).told);
  const others: string[] = [];
  if (kind === "distractor") others.push(drawTexts(subject(first.split(" ")[0]), next).told);
  if (kind === "paraphrased") others.push(retold);
  while (golds.length + others.length < passageCount) others.push(drawTexts(subject(), next).told);
  const order = permuted([...golds, ...others], next);
  const answer = kind === "split" ? `${told.slice(4)} ${golds[1]}` : told.slice(4);
  return {
    kind,
    passages: order.map(({ item }) => item),
    question: `What does the guide say about ${first}?`,
    answer,
    gold: order.flatMap(({ from }, position) => (from < golds.length ? [position] : [])),
    paraphrase: kind === "paraphrased" ? order.findIndex(({ from }) => from === golds.length) : null,
  };
}

/** A fact, the same in another order of words, another fact of the same thing, and the fact with another number. */
export function drawFactTexts(next: Generator): {
  told: string;
  retold: string;
  other: string;
  renumbered: string;
} {
  const subject = drawSubject(next);
  const { told, retold } = drawTexts(subject, next);
  const renumbered = told.replace(/\d+/, (number) => String(Number(number) + 1 + (next() % 9)));
  for (;;) {
    const other = drawTexts(subject, next).told;
    if (other !== told) return { told, retold, other, renumbered };
  }
}

function drawSubject(next: Generator, thing = pick(things, next)): string {
  return `${thing} of ${pick(places, next)}`;
}

function drawTexts(subject: string, next: Generator): { told: string; retold: string } {
  const [verb, time] = [pick(verbs, next), pick(times, next)];
  const goods = `${2 + (next() % 97)} ${pick(colours, next)} ${pick(objects, next)}`;
  return {
    told: `The ${subject} ${verb} ${goods} ${time}.`,
    retold: `${time[0]!.toUpperCase()}${time.slice(1)} ${goods} are what the ${subject} ${verb}.`,
  };
}

function pick(from: readonly string[], next: Generator): string {
  return from[next() % from.length]!;
}

function permuted<T>(items: readonly T[], next: Generator): { item: T; from: number }[] {
  const order = items.map((item, from) => ({ item, from }));
  for (let last = order.length - 1; last > 0; last--) {
    const picked = next() % (last + 1);
    [order[last], order[picked]] = [order[picked]!, order[last]!];
  }
  return order;
}
