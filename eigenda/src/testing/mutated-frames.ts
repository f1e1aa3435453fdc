import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ChannelCredentials, Client } from "@grpc/grpc-js";
import { bytesToHex } from "viem";
import { expect } from "vitest";
import { type Certificate, decodeCertificate, encodeCertificate } from "../certificate/certificate.ts";
import { decodeCertificateAbi, encodeCertificateAbi } from "../certificate/certificate-abi.ts";
import { certificateFromReply } from "../certificate/reply.ts";
import { ownCertificateFault, verifyCertificate } from "../certificate/verify.ts";
import { loadMcl } from "../curve/mcl.ts";
import { admit } from "../dev/admission.ts";
import { CommitmentCheck } from "../dev/commitment-check.ts";
import { developmentChainId } from "../dev/disperser.ts";
import { BlobStatusReplySchema, DisperseBlobRequestSchema } from "../gen/disperser_pb.ts";
import { headerFromMessage } from "../header/wire.ts";
import { checkedBlob } from "../kzg/blob-check.ts";
import { Committer } from "../kzg/committer.ts";
import { samplePayload, type startTestDisperser } from "./disperser.ts";
import { every, mutations } from "./mutation.ts";

type Setup = Awaited<ReturnType<typeof startTestDisperser>>;

/**
 * Disperses a payload and changes every `step`-th byte of everything that travels: the request, the status reply, the certificate in both encodings, the blob. None
 * may be accepted as anything but what it was, and none may crash the reader.
 */
export async function expectMutationsRefused(setup: Setup, step: number, seed: number): Promise<void> {
  const { certificate, blobKey } = await setup.client.disperse(samplePayload(20));
  const decoded = decodeCertificate(certificate);
  if (!decoded.ok) throw new Error(decoded.reason);
  const file = async (kind: string) =>
    Uint8Array.from(await readFile(join(setup.folder, "data", kind, blobKey.slice(2))));
  expect(await readdir(join(setup.folder, "data", "accepted"))).toContain(blobKey.slice(2));
  const requests = mutated(await file("accepted"), step, seed);
  await expectRequestsRefused(setup, await file("accepted"), requests);
  const replies = mutated(await file("settled"), step, seed);
  await expectRepliesRefused(setup, { certificate, request: await file("accepted") }, replies);
  await expectCertificatesRefused(setup, decoded.value, step, seed);
  await expectBlobsRefused(setup, decoded.value, step, seed);
}

async function expectRequestsRefused(
  setup: Setup,
  original: Uint8Array,
  requests: Iterable<Uint8Array>,
): Promise<void> {
  const wanted = fromBinary(DisperseBlobRequestSchema, original);
  const backend = await loadMcl();
  await using commitments = new CommitmentCheck(backend, join(setup.folder, "data", "srs"));
  const context = {
    backend,
    commitments,
    chainId: developmentChainId,
    acceptsOnDemand: false,
    nowNs: wanted.blobHeader!.paymentHeader!.timestamp,
  };
  const right = await admit(wanted, context);
  expect(right.ok).toBe(true);
  const malformed: Uint8Array[] = [];
  for (const bytes of requests) {
    const request = parsed(() => fromBinary(DisperseBlobRequestSchema, bytes));
    if (request === null) malformed.push(bytes);
    const admission = request && (await admit(request, context));
    if (!admission?.ok || !right.ok) continue;
    // What the signature does not bind: a missing anchor, the spelling of the account, unknown fields.
    expect(admission.header.blobKey).toBe(right.header.blobKey);
    expect(request!.blob).toEqual(wanted.blob);
  }
  await expectRefusedOnTheWire(setup, malformed);
}

/** As anyone may read them, and as who asked for the blob does, who knows its header and signature. */
async function expectRepliesRefused(
  setup: Setup,
  { certificate, request }: { certificate: Uint8Array; request: Uint8Array },
  replies: Iterable<Uint8Array>,
): Promise<void> {
  const backend = await loadMcl();
  const { blobHeader, signature } = fromBinary(DisperseBlobRequestSchema, request);
  const asked = headerFromMessage(blobHeader!);
  if (!asked.ok) throw new Error(asked.reason);
  const { blobKey: key } = asked.value;
  for (const bytes of replies) {
    const reply = parsed(() => fromBinary(BlobStatusReplySchema, bytes));
    const settled = reply && certificateFromReply(reply);
    if (!settled?.ok) continue;
    const encoded = encodeCertificate(settled.value.certificate);
    const verdict = await verifyCertificate(encoded, { level: "inclusion+signature", srs: setup.srs });
    if (verdict.ok) expect(encoded).toEqual(certificate);
    const own = certificateFromReply(reply!, 4, asked.value);
    if (!own.ok || own.value.header.blobKey !== key) continue;
    if (own.value.certificate.signature !== bytesToHex(signature)) continue;
    const kept = encodeCertificate(own.value.certificate);
    if (ownCertificateFault(backend, kept, { key, requiredQuorums: [0, 1] }) === null)
      expect(kept).toEqual(certificate);
  }
}

async function expectCertificatesRefused(setup: Setup, wanted: Certificate, step: number, seed: number) {
  for (const bytes of mutated(encodeCertificate(wanted), step, seed)) {
    await expectSameOrRefused(setup, wanted, decodeCertificate(bytes));
  }
  for (const bytes of mutated(encodeCertificateAbi(wanted), 2 * step, seed)) {
    await expectSameOrRefused(setup, wanted, decodeCertificateAbi(bytes));
  }
}

async function expectSameOrRefused(
  setup: Setup,
  wanted: Certificate,
  decoded: ReturnType<typeof decodeCertificate>,
): Promise<void> {
  if (!decoded.ok) return;
  const verdict = await verifyCertificate(encodeCertificate(decoded.value), {
    level: "inclusion+signature",
    srs: setup.srs,
  });
  // Only the chain reads the stake indices.
  if (verdict.ok) expect({ ...decoded.value, stakeIndices: null }).toEqual({ ...wanted, stakeIndices: null });
}

async function expectBlobsRefused(setup: Setup, certificate: Certificate, step: number, seed: number) {
  const { blob } = await setup.relay.retrieveBlob(certificate, {});
  await using committer = new Committer({ ...setup.srs.points, g2: null, g2Trailing: null });
  for (const bytes of mutated(blob, step, seed)) {
    const answer = checkedBlob(committer, certificate.header.commitment, bytes);
    await expect(answer).rejects.toMatchObject({ kind: "mismatch" });
  }
}

function mutated(bytes: Uint8Array, step: number, seed: number): Iterable<Uint8Array> {
  return mutations(bytes, every(step, bytes.length), seed);
}

/** Null if protobuf finds the frame malformed, whatever it throws: gRPC then answers by itself, see `expectRefusedOnTheWire`. */
function parsed<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return null;
  }
}

/** Frames that are no message: the server answers with a status, and goes on serving. */
async function expectRefusedOnTheWire(setup: Setup, frames: readonly Uint8Array[]): Promise<void> {
  const client = new Client(new URL(setup.server.url).host, ChannelCredentials.createInsecure());
  const send = (frame: Uint8Array) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        "/disperser.v2.Disperser/DisperseBlob",
        () => Buffer.from(frame),
        (bytes) => bytes,
        null,
        (error, reply) => (error === null ? resolve(reply) : reject(error)),
      );
    });
  for (const frame of frames) await expect(send(frame)).rejects.toMatchObject({ code: expect.any(Number) });
  client.close();
  await setup.client.paymentState();
}
