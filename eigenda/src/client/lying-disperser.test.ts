/** A disperser between the client and a right one: it forwards what it is asked, and changes what it answers. */
import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { bytesToHex, hexToBytes } from "viem";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { rootFromProof } from "../certificate/merkle.ts";
import { verifyCertificate } from "../certificate/verify.ts";
import { hashToG1 } from "../curve/bls.ts";
import { loadMcl } from "../curve/mcl.ts";
import { compressG1, compressG2, g1Generator, g2Generator } from "../curve/points.ts";
import { developmentChainId } from "../dev/disperser.ts";
import { RpcRefusal, RpcServer } from "../dev/rpc-server.ts";
import { BlobStatus, type BlobStatusReply, BlobStatusReplySchema, Disperser } from "../gen/disperser_pb.ts";
import { batchHeaderHash, blobCertificateHash } from "../header/header.ts";
import { signerFromKey } from "../header/signer.ts";
import { headerFromMessage } from "../header/wire.ts";
import { accountKey, samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { RpcChannel } from "./channel.ts";
import { DisperserClient } from "./disperser-client.ts";

type Lie = (reply: BlobStatusReply) => Promise<void> | void;

const callMsMax = 30_000;

let setup: Awaited<ReturnType<typeof startTestDisperser>>;
let right: RpcChannel;
let server: RpcServer;
let client: DisperserClient;
/** Told of finished blobs alone. */
let lie: Lie = () => undefined;
/** Answers that get lost on their way back. */
const lost = { dispersals: 0, statuses: 0 };
let dispersalCount = 0;

beforeAll(async () => {
  setup = await startTestDisperser();
  right = new RpcChannel(setup.server.url, setup.srs);
  server = new RpcServer(() => undefined);
  server.add(Disperser, {
    async disperseBlob(request) {
      dispersalCount++;
      const reply = await right.call(Disperser.method.disperseBlob, request, { msMax: callMsMax });
      if (lost.dispersals-- > 0) throw new RpcRefusal(status.UNAVAILABLE, "the line broke");
      return reply;
    },
    async getBlobStatus(request) {
      if (lost.statuses-- > 0) throw new RpcRefusal(status.UNAVAILABLE, "the line broke");
      const reply = await right.call(Disperser.method.getBlobStatus, request, { msMax: callMsMax });
      if (reply.status === BlobStatus.COMPLETE) await lie(reply);
      return reply;
    },
  });
  const url = `http://127.0.0.1:${await server.listen(0)}`;
  const options = { url, accountKey, chainId: developmentChainId, srs: setup.srs };
  client = new DisperserClient({ ...options, pollMs: 5, attemptsMax: 3 });
});
afterEach(() => {
  lie = () => undefined;
  Object.assign(lost, { dispersals: 0, statuses: 0 });
});
afterAll(async () => {
  await client.close();
  server.close();
  right.close();
  await setup[Symbol.asyncDispose]();
});

it.each<[what: string, lie: Lie]>([
  [
    "another account's signature, in a batch that holds it",
    async (reply) => {
      const { certificate, key } = partsOf(reply);
      certificate.signature = await signerFromKey(`0x${"11".repeat(32)}`).sign(key);
      await forge(reply);
    },
  ],
  [
    "another payment, and so another blob",
    async (reply) => {
      partsOf(reply).certificate.blobHeader!.paymentHeader!.timestamp++;
      await forge(reply);
    },
  ],
  [
    "a shorter length",
    async (reply) => {
      partsOf(reply).certificate.blobHeader!.commitment!.length /= 2;
      await forge(reply);
    },
  ],
  [
    "no inclusion in the batch",
    ({ blobInclusionInfo }) => {
      blobInclusionInfo!.blobIndex++;
    },
  ],
  [
    "a signature over another batch",
    ({ signedBatch }) => {
      signedBatch!.header!.referenceBlockNumber++;
    },
  ],
  ["a quorum that is named twice", (reply) => forge(reply, { quorums: [0, 1, 1] })],
  ["a quorum whose number is no byte", (reply) => forge(reply, { quorums: [0, 1, 256] })],
  ["a quorum that did not sign", (reply) => forge(reply, { quorums: [0, 2] })],
  ["more quorums than the contracts take", (reply) => forge(reply, { quorums: [0, 1, 2, 3, 4, 5] })],
  [
    "more non-signers than the contracts take",
    ({ signedBatch }) => {
      signedBatch!.attestation!.nonSignerPubkeys = Array(416).fill(compressG1(g1Generator));
    },
  ],
  ["more relays than fit into a certificate", (reply) => forge(reply, { relayKeys: Array(8_193).fill(1) })],
])("refuses a finished blob with %s", async (what, told) => {
  lie = told;
  await expect(client.disperse(samplePayload(100 + what.length))).rejects.toMatchObject({
    kind: what === "a quorum that did not sign" ? "failover" : "mismatch",
  });
});

it("takes a batch of operators that nobody knows, as anyone does who does not ask the chain", async () => {
  lie = (reply) => forge(reply);
  const { certificate } = await client.disperse(samplePayload(99));
  const verdict = await verifyCertificate(certificate, { level: "inclusion+signature", srs: setup.srs });
  expect(verdict).toMatchObject({ ok: true, signer: client.account, isSignerKeyProven: true });
});

it("does not send a blob again while the server does not say whether it has it", async () => {
  Object.assign(lost, { dispersals: 1, statuses: 2 });
  const before = dispersalCount;
  const { blobKey } = await client.disperse(samplePayload(98));
  expect(dispersalCount - before).toBe(1);
  expect(await setup.client.blobStatus(blobKey)).toMatchObject({ status: "COMPLETE" });
});

function partsOf({ blobInclusionInfo }: BlobStatusReply) {
  const certificate = blobInclusionInfo!.blobCertificate!;
  const header = headerFromMessage(certificate.blobHeader!);
  if (!header.ok) throw new Error(header.reason);
  return { certificate, key: header.value.blobKey };
}

/** The blob alone in a batch of its own, under an operator of each quorum whose secret key is 1: all of it agrees with itself. */
async function forge(
  reply: BlobStatusReply,
  { quorums = [0, 1], relayKeys }: { quorums?: number[]; relayKeys?: number[] } = {},
): Promise<void> {
  const mcl = await loadMcl();
  const { certificate, key } = partsOf(reply);
  certificate.relayKeys = relayKeys ?? certificate.relayKeys;
  const hash = blobCertificateHash(key, bytesToHex(certificate.signature), certificate.relayKeys);
  const root = rootFromProof(hash, 0, "0x")!;
  const secret = BigInt(quorums.length);
  const message = hexToBytes(batchHeaderHash(root, 1));
  const { blobInclusionInfo, signedBatch } = create(BlobStatusReplySchema, {
    blobInclusionInfo: { blobCertificate: certificate, blobIndex: 0, inclusionProof: new Uint8Array() },
    signedBatch: {
      header: { batchRoot: hexToBytes(root), referenceBlockNumber: 1n },
      attestation: {
        quorumNumbers: quorums,
        quorumApks: quorums.map(() => compressG1(g1Generator)),
        quorumSignedPercentages: Uint8Array.from(quorums, () => 100),
        apkG2: compressG2(mcl.mulG2(g2Generator, secret)),
        sigma: compressG1(mcl.mulG1(hashToG1(message), secret)),
      },
    },
  });
  Object.assign(reply, { blobInclusionInfo, signedBatch });
}
