import { type Example, openModel } from "#runtime/index";

/** How well held-out records are answered without passages, in nats per token of the answers: less is better. */
export type Evaluation = { examples: number; tokens: number; baseLoss: number; adapterLoss: number };

/** Examples judged at most: the first of the draw. */
const examplesMax = 512;

/**
 * Compare an adapter with its base on examples neither has learned.
 * @throws those of the runtime for the folders.
 */
export async function evaluate(
  folders: { base: string; adapter: string },
  targetModules: readonly string[],
  gate: readonly Example[],
): Promise<Evaluation> {
  await using model = await openModel(folders.base, { adaptableModules: targetModules });
  await model.loadAdapter("trained", folders.adapter);
  const judged = gate.slice(0, examplesMax);
  const requests = (adapter: string | null) =>
    judged.map(({ tokenIds, answerFrom }) => ({
      adapter,
      promptTokenIds: tokenIds.slice(0, answerFrom),
      answerTokenIds: tokenIds.slice(answerFrom),
    }));
  const tokens = judged.reduce((sum, { tokenIds, answerFrom }) => sum + tokenIds.length - answerFrom, 0);
  const lossOf = async (adapter: string | null) =>
    judged.length === 0 ? 0 : -(await model.logProb(requests(adapter))).reduce((a, b) => a + b, 0) / tokens;
  const [baseLoss, adapterLoss] = [await lossOf(null), await lossOf("trained")];
  return { examples: judged.length, tokens, baseLoss, adapterLoss };
}
