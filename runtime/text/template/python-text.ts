/** A value of the template interpreter, as far as it is printed. Source: the runtime of @huggingface/jinja 0.5.11. */
export interface TemplateValue {
  readonly type: string;
  readonly value: unknown;
}

/** What Jinja prints for a value: `str(value)` in Python, "" for what is undefined. */
export function printText(value: TemplateValue): string {
  if (value.type === "UndefinedValue") return "";
  return value.type === "StringValue" ? String(value.value) : represent(value);
}

/** `repr(value)` in Python: True, None, 2.0, ['a', "it's"], {'key': 1}. */
function represent(value: TemplateValue): string {
  switch (value.type) {
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "Undefined";
    case "BooleanValue":
      return value.value ? "True" : "False";
    case "StringValue":
      return quote(String(value.value));
    case "ArrayValue":
      return `[${(value.value as TemplateValue[]).map(represent).join(", ")}]`;
    case "TupleValue":
      return tuple((value.value as TemplateValue[]).map(represent));
    case "ObjectValue": {
      const entries = [...(value.value as Map<string, TemplateValue>)];
      return `{${entries.map(([key, item]) => `${quote(key)}: ${represent(item)}`).join(", ")}}`;
    }
    default:
      return String(value); // Numbers print as in Python; functions print as something no template wants.
  }
}

function tuple(items: readonly string[]): string {
  return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
}

/** A string literal of Python: single quotes unless only those occur, what cannot be printed escaped. */
function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\'"]|[\p{C}\p{Z}]/gu, (character) => {
    if (character === " ") return character;
    if (character === "\\" || character === mark) return `\\${character}`;
    return character === '"' || character === "'" ? character : escapeCode(character);
  });
  return `${mark}${escaped}${mark}`;
}

function escapeCode(character: string): string {
  const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0) ?? 0;
  const [letter, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(Number(width), "0")}`;
}
