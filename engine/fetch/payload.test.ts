import { bytesToHex, type Hex, keccak256 } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { decodeCertificate, verifyCertificate } from "#eigenda/index";
import { samplePayload, startTestDisperser } from "#eigenda/testing/disperser";
import { type BlobReader, fetchPayload } from "./payload.ts";

const bytes = samplePayload(40);
let da: Awaited<ReturnType<typeof startTestDisperser>>;
let reader: BlobReader;
let certificate: Uint8Array;

beforeAll(async () => {
  da = await startTestDisperser();
  reader = {
    check: (given) => verifyCertificate(given, { level: "inclusion+signature", srs: da.srs }),
    retrieve: (given) => da.relay.retrieve(given),
  };
  certificate = (await da.client.disperse(bytes)).certificate;
});

afterAll(() => da?.[Symbol.asyncDispose]());

it("refuses another content, and a certificate that is well formed but not signed", async () => {
  expect(await fetching({})).toMatchObject({ ok: true, bytes });
  expect(await fetching({ contentHash: keccak256("0x01") })).toMatchObject({ code: "content_hash" });
  const forged = await forge();
  expect(keccak256(await reader.retrieve(forged))).toBe(keccak256(bytes));
  expect(await fetching({ daCommitment: bytesToHex(forged) })).toMatchObject({ code: "da_certificate" });
});

it("takes a wrong or missing answer as passing until the last try", async () => {
  da.server.faults.add("corrupt");
  await expect(fetching({})).rejects.toMatchObject({ kind: "mismatch" });
  expect(await fetching({}, true)).toMatchObject({ ok: false, code: "da_mismatch" });
  da.server.faults.delete("corrupt");
  await da.server[Symbol.asyncDispose]();
  await expect(fetching({})).rejects.toMatchObject({ kind: "failover" });
  expect(await fetching({}, true)).toMatchObject({ ok: false, code: "da_unavailable" });
});

function fetching(change: Partial<Parameters<typeof fetchPayload>[1]>, isLastTry = false) {
  const onChain = { daCommitment: bytesToHex(certificate), contentHash: keccak256(bytes) as Hex };
  return fetchPayload(reader, { ...onChain, ...change }, isLastTry);
}

/** The certificate with one bit changed that decoding and relays let pass: the blob behind it is still the same. */
async function forge(): Promise<Uint8Array> {
  for (let at = certificate.length - 1; at >= 0; at--) {
    const forged = Uint8Array.from(certificate);
    forged[at]! ^= 1;
    if (!decodeCertificate(forged).ok || (await reader.check(forged)).ok) continue;
    const blob = await reader.retrieve(forged).catch(() => null);
    if (blob !== null) return forged;
  }
  throw new Error("every bit of a certificate is checked by decoding");
}
