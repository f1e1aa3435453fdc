import type { MessageInitShape } from "@bufbuild/protobuf";
import { hexToBytes, zeroAddress } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RpcChannel } from "../client/channel.ts";
import { DisperserClient } from "../client/disperser-client.ts";
import { encodeBlob } from "../codec/blob.ts";
import { frModulus, writeBigint } from "../curve/field.ts";
import { loadMcl } from "../curve/mcl.ts";
import { type DisperseBlobRequestSchema, Disperser } from "../gen/disperser_pb.ts";
import { anchorHash, chainIdHex, signerFromKey } from "../header/signer.ts";
import { headerToMessage, requestHeader } from "../header/wire.ts";
import { type BlobCommitment, commitBlob } from "../kzg/commitment.ts";
import { accountKey, samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { developmentChainId } from "./disperser.ts";

type Request = MessageInitShape<typeof DisperseBlobRequestSchema>;

const signer = signerFromKey(accountKey);
let setup: Awaited<ReturnType<typeof startTestDisperser>>;
let channel: RpcChannel;

beforeAll(async () => {
  setup = await startTestDisperser();
  channel = new RpcChannel(setup.server.url, setup.srs);
});
afterAll(async () => {
  channel.close();
  await setup[Symbol.asyncDispose]();
});

it("accepts a right request once, and names the duplicate the second time", async () => {
  const request = await rightRequest();
  expect(await send(request)).toMatchObject({ result: 1 });
  await expect(send(request)).rejects.toMatchObject({
    kind: "duplicate",
    message: expect.stringContaining("ALREADY_EXISTS"),
  });
});

it("accepts a request without an anchor signature", async () => {
  const { anchorSignature: _, ...request } = await rightRequest();
  expect(await send(request)).toMatchObject({ result: 1 });
});

it.each([-46, 46])("refuses a clock that is %i seconds off", async (seconds) => {
  const request = await rightRequest({ offsetNs: BigInt(seconds) * 1_000_000_000n });
  await expect(send(request)).rejects.toMatchObject({
    kind: "clock",
    message: expect.stringContaining("INVALID_ARGUMENT"),
  });
});

it("accepts a clock that is 40 seconds off", async () => {
  expect(await send(await rightRequest({ offsetNs: -40_000_000_000n }))).toMatchObject({ result: 1 });
});

it("refuses a symbol at the group order", async () => {
  const request = await rightRequest();
  const blob = Uint8Array.from(request.blob!);
  writeBigint(blob, 32, frModulus);
  await expectInvalid({ ...request, blob }, "symbol 1 is not a canonical field element");
});

it("refuses a commitment to other bytes", async () => {
  const request = await rightRequest();
  const blob = Uint8Array.from(request.blob!);
  blob[40] = blob[40]! ^ 1;
  await expectInvalid({ ...request, blob }, "invalid blob commitment");
});

it("refuses each of the three points if it is another blob's, also under a right signature", async () => {
  const other = commitBlob(await loadMcl(), setup.srs.points, blobOf(41));
  for (const name of ["commitment", "lengthCommitment", "lengthProof"] as const) {
    const forged = await rightRequest({ commitment: { [name]: other[name] } });
    await expectInvalid(forged, "invalid blob commitment");
  }
  // All three agree with each other: only the bytes tell.
  await expectInvalid(await rightRequest({ commitment: other }), "invalid blob commitment");
});

it("refuses a blob shorter than its commitment's length, an empty one and one that ends inside a symbol", async () => {
  const request = await rightRequest();
  await expectInvalid({ ...request, blob: request.blob!.subarray(0, 32) }, "is not the blob length");
  await expectInvalid({ ...request, blob: new Uint8Array() }, "blob size must be greater than 0");
  await expectInvalid({ ...request, blob: new Uint8Array(33) }, "not a whole number of symbols");
});

it("refuses missing and malformed headers", async () => {
  const { blobHeader, ...request } = await rightRequest();
  const { commitment, paymentHeader, ...rest } = blobHeader!;
  await expectInvalid(request, "must contain commitments");
  await expectInvalid(
    { ...request, blobHeader: { ...rest, paymentHeader: paymentHeader! } },
    "must contain a commitment",
  );
  await expectInvalid(
    { ...request, blobHeader: { ...rest, commitment: commitment! } },
    "payment metadata is required",
  );
  const halfPoint = { ...commitment!, commitment: new Uint8Array(32) };
  await expectInvalid(
    { ...request, blobHeader: { ...blobHeader!, commitment: halfPoint } },
    "commitment: The point is malformed",
  );
  const oddLength = { ...commitment!, length: 3 };
  await expectInvalid(
    { ...request, blobHeader: { ...blobHeader!, commitment: oddLength } },
    "must be a power of 2",
  );
});

it.each([
  ["no quorum", { quorumNumbers: [] }, "at least one quorum"],
  ["an unknown quorum", { quorumNumbers: [0, 2] }, "invalid quorum number 2"],
  ["an unknown blob version", { version: 1 }, "invalid blob version 1"],
  ["an on-demand payment", { cumulativePaymentWei: 5n }, "on-demand payments are not supported"],
])("refuses %s", async (_, change, reason) => {
  await expect(send(await rightRequest(change))).rejects.toThrow(reason);
});

it("refuses another account's signature, on the blob and on the anchor", async () => {
  const request = await rightRequest();
  const other = signerFromKey(`0x${"11".repeat(32)}`);
  const forged = await other.sign(`0x${"22".repeat(32)}`);
  await expect(send({ ...request, signature: forged })).rejects.toMatchObject({ kind: "auth" });
  await expect(send({ ...request, anchorSignature: forged })).rejects.toMatchObject({ kind: "auth" });
  await expect(send({ ...request, chainId: hexToBytes(chainIdHex(1n)) })).rejects.toMatchObject({
    kind: "auth",
  });
  await expectInvalid({ ...request, signature: new Uint8Array(64) }, "signature is expected to be 65 bytes");
});

it("refuses an account without a reservation when reservations are given", async () => {
  await using reserved = await startTestDisperser({ accounts: [zeroAddress] });
  await expect(reserved.client.disperse(samplePayload(3))).rejects.toMatchObject({
    kind: "payment",
    retryable: false,
  });
  expect(await reserved.client.paymentState()).toMatchObject({ reservation: null });
});

it("refuses a repeated and a stale payment-state request", async () => {
  const fixed = BigInt(Date.now()) * 1_000_000n;
  const options = {
    url: setup.server.url,
    accountKey: `0x${"33".repeat(32)}`,
    chainId: 1n,
    srs: setup.srs,
  } as const;
  await using repeating = new DisperserClient({ ...options, nowNs: () => fixed });
  await repeating.paymentState();
  await expect(repeating.paymentState()).rejects.toMatchObject({ kind: "auth" });
  await using stale = new DisperserClient({ ...options, nowNs: () => fixed - 301_000_000_000n });
  await expect(stale.paymentState()).rejects.toMatchObject({ kind: "auth" });
});

it("answers NOT_FOUND for unknown blobs and UNIMPLEMENTED for methods it does not have", async () => {
  const call = { msMax: 30_000 };
  const unknown = channel.call(Disperser.method.getBlobStatus, { blobKey: new Uint8Array(32) }, call);
  await expect(unknown).rejects.toThrow("NOT_FOUND: no such blob found");
  await expect(
    channel.call(Disperser.method.getBlobStatus, { blobKey: new Uint8Array(3) }, call),
  ).rejects.toMatchObject({ kind: "invalid" });
  await expect(channel.call(Disperser.method.getBlobCommitment, {}, call)).rejects.toThrow("UNIMPLEMENTED");
});

function send(request: Request) {
  return channel.call(Disperser.method.disperseBlob, request, { msMax: 30_000 });
}

async function expectInvalid(request: Request, reason: string): Promise<void> {
  await expect(send(request)).rejects.toMatchObject({
    kind: "invalid",
    message: expect.stringMatching(`INVALID_ARGUMENT: failed to validate request: .*${reason}`),
  });
}

type Change = {
  commitment?: Partial<BlobCommitment>;
  offsetNs?: bigint;
  quorumNumbers?: number[];
  version?: number;
  cumulativePaymentWei?: bigint;
};

let count = 0n;

function blobOf(payloadBytes: number): Uint8Array {
  return encodeBlob(samplePayload(payloadBytes), { form: "eval", symbolsMax: 64 });
}

/** A request that is right but for the change asked for; each has its own timestamp. */
async function rightRequest(change: Change = {}) {
  const blob = blobOf(40);
  const header = requestHeader({
    version: change.version ?? 0,
    quorumNumbers: change.quorumNumbers ?? [0, 1],
    commitment: { ...commitBlob(await loadMcl(), setup.srs.points, blob), ...change.commitment },
    payment: {
      accountId: signer.address,
      timestampNs: BigInt(Date.now()) * 1_000_000n + count++ + (change.offsetNs ?? 0n),
      cumulativePaymentWei: change.cumulativePaymentWei ?? 0n,
    },
  });
  return {
    blob,
    blobHeader: headerToMessage(header),
    signature: await signer.sign(header.blobKey),
    anchorSignature: await signer.sign(anchorHash(developmentChainId, 0, header.blobKey)),
    disperserId: 0,
    chainId: hexToBytes(chainIdHex(developmentChainId)),
  };
}
