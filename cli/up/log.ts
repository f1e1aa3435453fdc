import { appendFileSync } from "node:fs";
import colors from "picocolors";

/** Where one line of one process goes. */
export type Log = (name: string, line: string) => void;

const palette = [colors.cyan, colors.magenta, colors.yellow, colors.green, colors.blue, colors.red];
const nameColumns = 10;

/** Prints `name │ line` with a colour per name, in the order names appear. */
export function terminalLog(write: (text: string) => void = (text) => process.stdout.write(text)): Log {
  const colorOf = new Map<string, (text: string) => string>();
  return (name, line) => {
    if (!colorOf.has(name)) colorOf.set(name, palette[colorOf.size % palette.length]!);
    write(`${colorOf.get(name)!(`${name.padEnd(nameColumns)} │`)} ${line}\n`);
  };
}

/** Appends `time name │ line` to a file, for runs whose terminal shows something else. */
export function fileLog(path: string): Log {
  return (name, line) => {
    appendFileSync(path, `${new Date().toISOString()} ${name.padEnd(nameColumns)} │ ${line}\n`);
  };
}

/** Cuts a stream of chunks into lines; a last line without an end is handed on by `end()`. */
export function splitLines(onLine: (line: string) => void): { push(chunk: string): void; end(): void } {
  let rest = "";
  return {
    push(chunk) {
      const lines = (rest + chunk).split(/\r?\n/);
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") onLine(line);
    },
    end() {
      if (rest !== "") onLine(rest);
      rest = "";
    },
  };
}
