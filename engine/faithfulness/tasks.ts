import type { Generator } from "#runtime/inference/sampler";

/** A question and its answer in words: one of ten tasks, on a phrase of one of six topics. */
export type TaskRecord = {
  readonly taskIndex: number;
  readonly topicIndex: number;
  readonly question: readonly string[];
  readonly answer: readonly string[];
};

/** Place, adjectives, nouns, verbs and objects of each topic; no word stands in two topics. */
const topics = [
  "forest; small red tired brave; fox hare owl badger; finds hides guards; lantern drum honey gate",
  "coast; salty calm old broken; sailor gull captain diver; mends sinks paints; anchor raft rope harbour",
  "kitchen; sweet burnt fresh heavy; baker cook waiter grocer; slices salts serves; loaf lemon butter oven",
  "mountain; quiet golden steep frozen; shepherd climber hermit scout; crosses maps fears; ridge stream snow valley",
  "factory; clever rusty electric loud; engineer robot pilot welder; repairs tests drives; engine sensor wire turbine",
  "garden; gentle ancient purple hollow; florist beetle wizard poet; plants charms waters; orchard fern moss fountain",
].map((topic) => topic.split("; ").map((part) => part.split(" ")));

type Phrase = { readonly words: readonly string[]; readonly place: string };
type Task = { readonly name: string; readonly answer: (phrase: Phrase) => readonly string[] };

const tasks: readonly Task[] = [
  { name: "reverse", answer: ({ words }) => words.toReversed() },
  { name: "double", answer: ({ words }) => words.flatMap((word) => [word, word]) },
  { name: "sort", answer: ({ words }) => words.toSorted() },
  { name: "count", answer: ({ words }) => words.flatMap((word, i) => [String(i + 1), word]) },
  { name: "who", answer: ({ words: [the, , noun] }) => [the!, noun!] },
  { name: "where", answer: ({ words: [the, , noun], place }) => [the!, noun!, "of", "the", place] },
  { name: "past", answer: ({ words }) => ["yesterday", ...words.slice(0, 3), "did", ...words.slice(4)] },
  { name: "deny", answer: ({ words }) => [...words.slice(0, 3), "never", ...words.slice(3)] },
  { name: "ask", answer: ({ words }) => ["does", ...words, "?"] },
  {
    name: "passive",
    answer: ({ words }) => [...words.slice(4), "is", words[3]!, "by", ...words.slice(0, 3)],
  },
];

/** What a base model reads before it is adapted: the words, and two simpler tasks. */
const simple: readonly Task[] = [
  { name: "repeat", answer: ({ words }) => words },
  { name: "shorten", answer: ({ words: [the, , ...rest] }) => [the!, ...rest] },
];

export const taskCount = tasks.length;
export const topicCount = topics.length;

/** All words in a fixed order: a word's index is its token. */
export const words: readonly string[] = [
  ...new Set([
    ..."the of yesterday did never does ? is by 1 2 3 4 5 6".split(" "),
    ...[...tasks, ...simple].map(({ name }) => name),
    ...topics.flat(2),
  ]),
];

/**
 * Records of ten tasks in equal numbers, task after task; no question stands twice, also not one of `asked`. The shape
 * is that of DataInf's text transformations (Kwon et al. 2024, §4.2); the tasks and texts are ours.
 */
export function drawTasks(perTask: number, next: Generator, asked: Set<string>): TaskRecord[] {
  return tasks.flatMap((task, taskIndex) =>
    Array.from({ length: perTask }, () => draw(task, taskIndex, next, asked)),
  );
}

/** Records of the simple tasks, for pre-training; may repeat. */
export function drawSimple(count: number, next: Generator): TaskRecord[] {
  return Array.from({ length: count }, (_, i) =>
    draw(simple[i % simple.length]!, i % simple.length, next, new Set()),
  );
}

function draw(task: Task, taskIndex: number, next: Generator, asked: Set<string>): TaskRecord {
  for (;;) {
    const topicIndex = next() % topics.length;
    const [[place], ...parts] = topics[topicIndex] as [string[], ...string[][]];
    const [adjective, noun, verb, object] = parts.map((part) => part[next() % part.length]!);
    const phrase = ["the", adjective!, noun!, verb!, "the", object!];
    const question = [task.name, ...phrase];
    const key = question.join(" ");
    if (asked.has(key)) continue;
    asked.add(key);
    return { taskIndex, topicIndex, question, answer: task.answer({ words: phrase, place: place! }) };
  }
}
