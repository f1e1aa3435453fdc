/** A node that lies: its issuer signs what it is told, the wire between is real. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Hex, keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { afterEach, expect, it } from "vitest";
import { type Completion, complete } from "#serving/answer/answer";
import { createChatStream } from "#serving/http/chat-stream";
import { createIssuer, type Statement } from "#serving/receipt";
import { sendQuestion } from "./node-client.ts";
import { type Asked, checkReceipt, ReceiptWrongError } from "./receipt.ts";

const hash = (text: string) => keccak256(toHex(text));
const [key, otherKey] = [hash("node"), hash("other node")];
const account = privateKeyToAccount(key);
const scope = { chainId: 5n, hub: "0x00000000000000000000000000000000000000bb" as Hex };

const asked: Asked = {
  ...scope,
  node: account.address.toLowerCase() as Hex,
  channelId: hash("channel"),
  maxWei: 30n,
  modelId: hash("model"),
  feeWei: 10n,
  question: "What burns green?",
};

const statement: Statement = {
  payer: "0x00000000000000000000000000000000000000aa",
  modelId: asked.modelId as Hex,
  adapterHashes: [],
  profileHash: hash("profile"),
  provenanceMode: 0,
  channelId: asked.channelId,
  cumulativeChargedWei: 30n,
  feeWei: 10n,
  question: asked.question,
  answer: "The lantern burns green.",
  promptTokens: 9,
  answerTokenIds: [5, 6, 7],
  candidates: [],
  params: { maxTokens: 32, temperatureMilli: 0, topK: 0, topPMilli: 1000, seed: 0n },
  servedAt: 1_800_000_000n,
};

const cited = { index: 1, source: "a.md", contributor: "0x", contribution_id: "1", quote: "green" };

/** How a node departs from the truth: in what it signs, by which key and for which hub, or in what it sends after. */
type Lie = { signed?: Partial<Statement>; key?: Hex; hub?: Hex; sent?: Sent };
type Sent = { receipt?: object; opening?: object; citations?: object[] };

let server: Server | undefined;

afterEach(() => {
  server?.close();
  server = undefined;
});

/** Asks a node that answers like ours but for `lie`, over HTTP, and checks what came. */
async function askNode(lie: Lie): Promise<void> {
  const signer = privateKeyToAccount(lie.key ?? key);
  const issuer = createIssuer(signer, key, { ...scope, hub: lie.hub ?? scope.hub });
  const issued = await issuer.issue({ ...statement, ...lie.signed });
  const honest = complete({
    answer: statement.answer,
    finishReason: "stop",
    citations: [cited] as unknown as Completion["citations"],
    issued,
  });
  const completion = {
    ...honest,
    receipt: { ...honest.receipt, ...lie.sent?.receipt },
    opening: { ...honest.opening, ...lie.sent?.opening },
    citations: lie.sent?.citations ?? honest.citations,
  } as Completion;
  server = createServer(async (_, response) => {
    const send = async (data: string) => void response.write(`data: ${data}\n\n`);
    const stream = createChatStream({ id: "1", created: 1, model: "quote", includesUsage: false, send });
    await stream.text("The lantern");
    await stream.end(completion);
    response.end();
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const asking = { model: "quote", question: asked.question, voucher: "" };
  const closing = await sendQuestion(url, asking, () => undefined);
  if ("reason" in closing) throw new Error(closing.reason);
  await checkReceipt(asked, closing);
}

it("takes the receipt of an honest node, also where the voucher is for more", async () => {
  await askNode({});
  await askNode({ signed: { cumulativeChargedWei: 20n } });
});

const other = privateKeyToAccount(otherKey).address.toLowerCase() as Hex;

it.each<[string, Lie, RegExp]>([
  [
    "charges above the voucher",
    { signed: { cumulativeChargedWei: 31n } },
    /31 wei in all, your voucher is for 30/,
  ],
  ["charges above the price", { signed: { feeWei: 11n } }, /its fee is 11 wei, the price quoted 10/],
  ["charges below the price, the contributors' loss", { signed: { feeWei: 9n } }, /its fee is 9 wei/],
  ["charges less than its own fee", { signed: { cumulativeChargedWei: 9n } }, /less than its own fee/],
  [
    "charges another channel",
    { signed: { channelId: hash("another") } },
    /it charges the channel 0x.*yours is/,
  ],
  ["served another model", { signed: { modelId: hash("cheap") } }, /it names the model/],
  ["signs for another question", { signed: { question: "Another?" } }, /inputCommit is of another question/],
  ["signs for another answer", { signed: { answer: "It burns red." } }, /outputCommit is of another answer/],
  ["signs for other tokens", { sent: { opening: { answer_token_ids: [5, 6, 8] } } }, /of another answer/],
  ["counts other tokens", { sent: { receipt: { completionTokens: 2 } } }, /counts 2 tokens.*there are 3/],
  ["reuses a request's id", { sent: { receipt: { requestId: hash("old") } } }, /requestId/],
  ["opens with another salt", { sent: { opening: { input_salt: hash("salt") } } }, /of another question/],
  ["signs with another key under another name", { key: otherKey }, /it names the node/],
  [
    "signs with another key under its own name",
    { key: otherKey, sent: { receipt: { node: asked.node } } },
    /its digest is/,
  ],
  ["signs for another hub", { hub: other }, /its digest is/],
  ["sends another signature", { sent: { receipt: { signature: `0x${"1b".repeat(65)}` } } }, /signed by/],
  ["marks what it does not cite", { sent: { citations: [] } }, /outputCommit is of another answer/],
  [
    "cites what it does not mark",
    { sent: { citations: [cited, cited] } },
    /marks of its citations, \[1\]\[2\]/,
  ],
])("refuses the receipt of a node that %s, and says what to do", async (_, lie, message) => {
  const refusal = await askNode(lie).then(
    () => null,
    (error: unknown) => error,
  );
  expect(refusal).toBeInstanceOf(ReceiptWrongError);
  expect((refusal as Error).message).toMatch(message);
  expect((refusal as Error).message).toMatch(
    /Sign no further voucher.*no more than the 30 wei.*initiateWithdraw/,
  );
});
