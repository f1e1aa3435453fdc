import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { readNode, readTerms, sendQuestion } from "./ask/node-client.ts";
import { closingLines, questionFrom } from "./ask.ts";
import { freePort } from "./up/ports.ts";

let server: Server | undefined;

afterEach(() => {
  server?.close();
  server = undefined;
});

/** A node in a state that is hard to bring about: each path answers as given. @returns its base URL. */
async function startNode(answers: Record<string, { status: number; body: string }>): Promise<string> {
  server = createServer((request, response) => {
    const { status, body } = answers[request.url!]!;
    response.writeHead(status, { connection: "close" }).end(body);
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

const models = { status: 200, body: JSON.stringify({ data: [{ id: "quote", root: "0x01", fee_wei: "7" }] }) };
const health = (chunks: number) => ({ status: 200, body: JSON.stringify({ chunks }) });
const question = { model: "quote", question: "What?", voucher: "" };

it("takes a question as one argument or as several words, and none at all for wrong usage", () => {
  expect(questionFrom(["What does zod do?"])).toBe("What does zod do?");
  expect(questionFrom(["What", "does", "zod", "do?"])).toBe("What does zod do?");
  expect(questionFrom(["What\n does  zod do?"])).toBe("What does zod do?");
  expect(() => questionFrom([" "])).toThrow(/Give a question/);
});

it("says what to start where nothing runs", async () => {
  await expect(readNode(`http://127.0.0.1:${await freePort()}/v1`, "quote")).rejects.toThrow(
    /No node answers.*npm run demo -- --keep/,
  );
});

it("hands on that the model is not final yet", async () => {
  const body = JSON.stringify({ error: { message: "the node waits for its model's registration" } });
  const url = await startNode({ "/v1/models": { status: 503, body } });
  await expect(readNode(url, "quote")).rejects.toThrow(/waits for its model/);
});

it("names the models there are, and says how to fill empty Datanets", async () => {
  const url = await startNode({ "/v1/models": models, "/health": health(0) });
  await expect(readNode(url, "other")).rejects.toThrow(/does not serve other.*one of: quote/);
  await expect(readNode(url, "quote")).rejects.toThrow(/Datanets are empty.*npm run demo -- --keep/);
});

it("reads the fee and the model of a node that has something to answer from", async () => {
  const url = await startNode({ "/v1/models": models, "/health": health(3) });
  expect(await readNode(url, "quote")).toEqual({ feeWei: 7n, modelId: "0x01" });
});

it("reads the terms of a node that wants to be paid", async () => {
  const [hub, node] = [`0x${"bb".repeat(20)}`, `0x${"aa".repeat(20)}`];
  const body = JSON.stringify({
    chainId: "5",
    receiver: hub,
    receiverAuthorizer: node.toUpperCase().replace("X", "x"),
  });
  const url = await startNode({ "/v1/chat/completions": { status: 402, body } });
  expect(await readTerms(url, "quote")).toEqual({ chainId: 5n, hub, node });
});

it("tells an error in the middle of a stream and a stream that was cut off", async () => {
  const text = `data: ${JSON.stringify({ choices: [{ delta: { content: "It " } }] })}\n\n`;
  const broken = `data: ${JSON.stringify({ error: { message: "charge conflict" } })}\n\ndata: [DONE]\n\n`;
  const path = "/v1/chat/completions";
  let seen = "";
  const listen = (piece: string) => {
    seen += piece;
  };
  const failing = await startNode({ [path]: { status: 200, body: text + broken } });
  await expect(sendQuestion(failing, question, listen)).rejects.toThrow(/charge conflict/);
  expect(seen).toBe("It ");
  server!.close();
  const cut = await startNode({ [path]: { status: 200, body: text } });
  await expect(sendQuestion(cut, question, listen)).rejects.toThrow(/without a receipt/);
});

it("ends with the sources, the fee in OPEN, the receipt and the command that follows it", () => {
  const digest = `0x${"ab".repeat(32)}`;
  const receipt = { fee: 1_500_000_000_000_000_000n, digest };
  const lines = closingLines({ citations: [], receipt }).join("\n");
  expect(lines).toMatch(/no sources/);
  expect(lines).toMatch(/fee +1\.5 OPEN/);
  expect(lines).toContain(`npm run tributary -- trace ${digest}`);
});
