/**
 * First key that an object of this JSON text names twice, or null. `JSON.parse` keeps the last of two and
 * other readers the first, so a file with a repeated key means different things to different programs.
 * The text must already have been parsed: only strings and brackets are looked at. Pure.
 */
export function findRepeatedKey(json: string): string | null {
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === "{") open.push(new Set());
    else if (character === "[") open.push(null);
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const end = endOfString(json, at);
      const keys = open.at(-1);
      if (keys && isKey(json, end + 1)) {
        const key: string = JSON.parse(json.slice(at, end + 1));
        if (keys.has(key)) return key;
        keys.add(key);
      }
      at = end;
    }
  }
  return null;
}

/** Index of the closing quote of the string that opens at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at;
}

function isKey(json: string, start: number): boolean {
  let at = start;
  while (/[\t\n\r ]/.test(json[at] ?? "")) at++;
  return json[at] === ":";
}
