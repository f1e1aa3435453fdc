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

/** An error with its causes, one line. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [first] = error.message.split("\n");
  return error.cause === undefined
    ? `${error.name}: ${first}`
    : `${error.name}: ${first} ← ${describe(error.cause)}`;
}

function toJson(fields: Record<string, unknown>): string {
  return JSON.stringify(fields, (_, value) => (typeof value === "bigint" ? value.toString() : value));
}

function writeError(line: string): void {
  process.stderr.write(`${line}\n`);
}
