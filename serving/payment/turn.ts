/** Runs tasks with the same key one after the other, in order of arrival; different keys at the same time. */
export type Turns = { take: <T>(key: string, task: () => Promise<T>) => Promise<T> };

/** The number of waiting tasks is bounded by who calls: the node lets `requestsMax` requests in. */
export function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>();
  return {
    take: async (key, task) => {
      const before = last.get(key) ?? Promise.resolve();
      // The predecessor's failure is its own caller's; the turn passes on all the same.
      const run = before.then(task, task);
      const settled = run.then(nothing, nothing);
      last.set(key, settled);
      void settled.then(() => {
        if (last.get(key) === settled) last.delete(key);
      });
      return run;
    },
  };
}

function nothing(): undefined {
  return undefined;
}
