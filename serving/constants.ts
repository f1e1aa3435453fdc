/** Limits of the node. Each bounds a queue, a loop, a retry or what a stranger may send. */

/** Most receipts in a batch: whatever their candidates, the engine does not refuse it as too large (settlement/blob/batch.ts). */
export const receiptsPerBatchMax = 20;

/** Most chunks in context: the engine scores 2^n prompts per answer exactly up to here (engine/score/shapley.ts). */
export const playersMaxInContext = 6;

/** Largest request body in bytes. */
export const bodyBytesMax = 64 * 1024;
/** Most messages in one request, and characters of the question. */
export const messagesMax = 64;
export const questionCharactersMax = 1_000;
/** Tokens of an answer: the default and the most that may be asked for. */
export const answerTokensDefault = 96;
export const answerTokensMax = 256;

/** Requests in the house at once, running and waiting; the next one gets 429. */
export const requestsMax = 64;

/** Adapters loaded at most; how often the node looks for new ones. */
export const adaptersMax = 1_024;
export const adapterPollMs = 1_000;

/** How often the set of retrievable chunks is compared with the database. */
export const indexPollMs = 500;
/** How long the node waits for its model to be registered and final before it gives up, and between looks. */
export const modelWaitMsMax = 1_800_000;
export const modelPollMs = 500;

/** How long a final block that was read may be used. It only ever rises. */
export const finalBlockMsMax = 250;

/** Pause between two looks of the settler, and after a failure. */
export const settlerPollMs = 500;
export const settlerRetryMs = 2_000;
/** How long a batch waits for a payer who left to come back, before the other payers' answers are settled without his. */
export const emptiedMsMax = 600_000;
/** How long one submission may wait to be mined before the settler looks at the chain again. */
export const submissionMsMax = 60_000;
/** How long requests under way may take to end when the node stops. */
export const stopMsMax = 10_000;

/** Shortest quote that is cited, in characters, unless it is the whole answer. */
export const quoteCharactersMin = 16;
