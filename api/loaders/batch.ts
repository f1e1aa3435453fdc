/**
 * Joins the single loads of one tick into one query, and remembers them for the request.
 * `load` returns what it found; a key it does not return resolves to undefined.
 */
export function batchLoader<K, V>(
  load: (keys: K[]) => Promise<Map<K, V>>,
): (key: K) => Promise<V | undefined> {
  const known = new Map<K, Promise<V | undefined>>();
  let waiting: { keys: K[]; found: Promise<Map<K, V>> } | null = null;
  const gather = () => {
    const keys: K[] = [];
    const found = nextTurn().then(() => {
      waiting = null;
      return load(keys);
    });
    return { keys, found };
  };
  return (key) => {
    const cached = known.get(key);
    if (cached !== undefined) return cached;
    waiting ??= gather();
    waiting.keys.push(key);
    const value = waiting.found.then((found) => found.get(key));
    known.set(key, value);
    return value;
  };
}

/** After all resolvers of this turn have asked. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
