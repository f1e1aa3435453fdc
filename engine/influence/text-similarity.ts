/**
 * Cosine similarity of TF-IDF vectors of each record with a query, over the records: what a comparison of texts
 * alone says, the baseline any influence must beat. Weights are tf · (ln((1 + n)/(1 + df)) + 1), the smoothed form of
 * scikit-learn's TfidfVectorizer; a text is its words as given. Correlation, no cause.
 */
export function textSimilarity(
  records: readonly (readonly string[])[],
): (query: readonly string[]) => Float64Array {
  const documents = new Map<string, number>();
  for (const words of records)
    for (const word of new Set(words)) documents.set(word, (documents.get(word) ?? 0) + 1);
  const weigh = (words: readonly string[]) => {
    const counts = new Map<string, number>();
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
    const weights = [...counts].map(([word, count]): [string, number] => {
      const frequency = documents.get(word) ?? 0;
      return [word, count * (Math.log((1 + records.length) / (1 + frequency)) + 1)];
    });
    const norm = Math.sqrt(weights.reduce((total, [, weight]) => total + weight * weight, 0));
    return new Map(weights.map(([word, weight]) => [word, norm === 0 ? 0 : weight / norm]));
  };
  const weighed = records.map(weigh);
  return (words) => {
    const query = weigh(words);
    return Float64Array.from(weighed, (record) => {
      let product = 0;
      for (const [word, weight] of query) product += weight * (record.get(word) ?? 0);
      return product;
    });
  };
}
