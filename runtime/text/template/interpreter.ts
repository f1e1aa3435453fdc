import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { printText, type TemplateValue } from "./python-text.ts";

/** A template that was parsed. */
export interface ParsedTemplate {
  readonly program: ReturnType<typeof parse>;
  /** Nodes of expressions whose value goes into the text. */
  readonly printed: WeakSet<object>;
}

/** Longest range; the limit of Jinja's sandbox, which transformers renders in. */
const rangeMax = 100_000;

/** Parse a template as transformers does: blocks take the white space before and one line's end after them. */
export function parseTemplate(template: string): ParsedTemplate {
  const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  const printed = new WeakSet<object>();
  markPrinted(program, printed);
  return { program, printed };
}

/**
 * Render a parsed template. `now` is what `strftime_now` tells, in UTC.
 * @throws TemplateRefusal where the template itself refuses by `raise_exception`; other errors where it fails.
 * Does not limit time or memory: run it in a worker.
 */
export function renderParsed(
  template: ParsedTemplate,
  variables: Readonly<Record<string, unknown>>,
  now: Date,
): string {
  const environment = new Environment();
  const globals: Record<string, unknown> = {
    ...{ true: true, True: true, false: false, False: false, none: null, None: null },
    range,
    raise_exception: (message: unknown) => {
      throw new TemplateRefusal(String(message));
    },
    strftime_now: (format: unknown) => formatDate(String(format), now),
    ...variables,
  };
  for (const [name, value] of Object.entries(globals)) environment.set(name, value);
  return String(new PythonInterpreter(environment, template.printed).run(template.program).value);
}

/** A node of the syntax tree, with what is read of it here. */
interface TreeNode {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The public part of the package's interpreter, by shape: its classes of nodes and values are not exported. */
interface LooseInterpreter {
  evaluate(node: unknown, environment: Environment): TemplateValue;
  run(program: ParsedTemplate["program"]): TemplateValue;
}
const Base = Interpreter as unknown as new (environment: Environment) => LooseInterpreter;

/**
 * The package's interpreter, printing as Python does where it prints as JavaScript: true, null, lists and objects.
 * Adding a string to what is none fails as in Python.
 */
class PythonInterpreter extends Base {
  readonly #printed: WeakSet<object>;

  constructor(environment: Environment, printed: WeakSet<object>) {
    super(environment);
    this.#printed = printed;
  }

  override evaluate(node: TreeNode | undefined, environment: Environment): TemplateValue {
    if (node === undefined || !this.#printed.has(node)) return this.#value(node, environment);
    return this.#text(printText(this.#value(node, environment)), environment);
  }

  #value(node: TreeNode | undefined, environment: Environment): TemplateValue {
    if (node?.type === "Evaluated") return node.result as TemplateValue;
    if (node?.type === "BinaryExpression") return this.#binary(node, environment);
    if (node?.type === "FilterExpression") return this.#filter(node, environment);
    return super.evaluate(node, environment);
  }

  #binary(node: TreeNode, environment: Environment): TemplateValue {
    const operator = (node.operator as { value: string }).value;
    if (operator !== "+" && operator !== "~") return super.evaluate(node, environment);
    const [left, right] = [node.left, node.right].map((side) => this.evaluate(side as TreeNode, environment));
    if (operator === "~") return this.#text(printText(left!) + printText(right!), environment);
    if ((left!.type === "StringValue") !== (right!.type === "StringValue")) {
      throw new TypeError(`cannot add ${right!.type} to ${left!.type}`);
    }
    const evaluated = (result: TemplateValue) => ({ type: "Evaluated", result });
    return super.evaluate({ ...node, left: evaluated(left!), right: evaluated(right!) }, environment);
  }

  /** `string` and `trim` take any value by its printed text. */
  #filter(node: TreeNode, environment: Environment): TemplateValue {
    const name = (node.filter as { value?: unknown }).value;
    if (name !== "string" && name !== "trim") return super.evaluate(node, environment);
    const operand = this.evaluate(node.operand as TreeNode, environment);
    const text = this.#text(printText(operand), environment);
    return name === "string"
      ? text
      : super.evaluate({ ...node, operand: { type: "Evaluated", result: text } }, environment);
  }

  #text(value: string, environment: Environment): TemplateValue {
    return super.evaluate({ type: "StringLiteral", value }, environment);
  }
}

/** Statements that give no text of their own, or text already. */
const unprinted = new Set([
  "Break",
  "CallStatement",
  "Comment",
  "Continue",
  "FilterStatement",
  "For",
  "If",
  "Macro",
  "Set",
  "StringLiteral",
]);

/** Collect the expressions that stand as statements. Nested as deep as the parser could go. */
function markPrinted(node: object, printed: WeakSet<object>): void {
  for (const field of ["body", "alternate", "defaultBlock"] as const) {
    const block = (node as Readonly<Record<string, unknown>>)[field];
    if (!Array.isArray(block)) continue;
    for (const statement of block as TreeNode[]) {
      if (unprinted.has(statement.type)) markPrinted(statement, printed);
      else printed.add(statement);
    }
  }
}

function range(...bounds: unknown[]): number[] {
  const [first = 0, second, step = 1] = bounds.filter((bound) => typeof bound === "number");
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= rangeMax)) throw new RangeError(`range is too long. Max: ${rangeMax}`);
  return Array.from({ length: count }, (_, index) => start + index * step);
}

const months = [
  ...["January", "February", "March", "April", "May", "June"],
  ...["July", "August", "September", "October", "November", "December"],
];
const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** Python's strftime in English and UTC, the codes that templates use; others stay as they are. */
function formatDate(format: string, now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const [month = "", day = ""] = [months[now.getUTCMonth()], days[now.getUTCDay()]];
  const codes: Readonly<Record<string, string>> = {
    Y: String(now.getUTCFullYear()),
    y: two(now.getUTCFullYear() % 100),
    m: two(now.getUTCMonth() + 1),
    d: two(now.getUTCDate()),
    H: two(now.getUTCHours()),
    M: two(now.getUTCMinutes()),
    S: two(now.getUTCSeconds()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    "%": "%",
  };
  return format.replace(/%(.)/g, (whole, code: string) => codes[code] ?? whole);
}

/** The template says that it does not take these messages. */
export class TemplateRefusal extends Error {
  override readonly name = "TemplateRefusal";
}
