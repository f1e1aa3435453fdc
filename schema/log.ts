/** One line per event on standard error, `level message {fields}`; the process that starts us adds time and name. */
export type Log = {
  info: (message: string, fields?: Record<string, unknown>) => void;
  error: (message: string, error: unknown) => void;
};

export function createLog(write: (line: string) => void = writeError): Log {
  return {
    info: (message, fields) => write(`info ${message}${fields === undefined ? "" : ` ${toJson(fields)}`}`),
    error: (message, error) => write(`error ${message}: ${describe(error)}`),
  };
}

/** An error with its causes, one line. Also of what only looks like an error: pg-boss reports copies of some. */
export function describe(error: unknown): string {
  if (typeof error !== "object" || error === null || !("message" in error)) return String(error);
  const { name = "Error", message, cause } = error as Partial<Error>;
  const [first] = String(message).split("\n");
  return cause === undefined ? `${name}: ${first}` : `${name}: ${first} ← ${describe(cause)}`;
}

function toJson(fields: Record<string, unknown>): string {
  return JSON.stringify(fields, (_, value) => (typeof value === "bigint" ? value.toString() : value));
}

function writeError(line: string): void {
  process.stderr.write(`${line}\n`);
}
