import { bytesToHex, decodeFunctionData, keccak256 } from "viem";
import { expect, it } from "vitest";
import { mainnetSrsAnchor } from "../kzg/mainnet-srs.ts";
import { routerAddress, type StandIn, standInClient } from "../testing/cert-verifier.ts";
import { fromHex } from "../testing/vectors.ts";
import { type Certificate, decodeCertificate, encodeCertificate } from "./certificate.ts";
import { decodeCertificateAbi, encodeCertificateAbi } from "./certificate-abi.ts";
import { eigenDaAbi, operatorId, registryRelayUrl, withStakeIndices } from "./contracts.ts";
import realV3 from "./v3-certificate.json" with { type: "json" };
import { verifyCertificate } from "./verify.ts";

const v3Bytes = fromHex(realV3.certificate);
const v3 = decoded(v3Bytes);
const head = BigInt(v3.referenceBlockNumber) + 1n;

it("reads and writes a real V3 certificate in both encodings", async () => {
  expect(encodeCertificate(v3)).toEqual(v3Bytes);
  const abi = encodeCertificateAbi(v3);
  expect(abi.length).toBe(2208);
  expect(keccak256(abi)).toBe("0xf9301b9293114729a30a0f4ec29f81ca1166fa38f83a536f1265cc3246d55b78");
  expect(decodeCertificateAbi(abi)).toEqual({ ok: true, value: v3 });
  const full = { level: "inclusion+signature", srs: mainnetSrsAnchor } as const;
  expect(await verifyCertificate(v3Bytes, full)).toMatchObject({ ok: true });
});

it("carries every field of a V4 certificate with a non-signer through both encodings", () => {
  const { sigma } = v3;
  const v4: Certificate = {
    ...v3,
    version: 4,
    nonSignerPubkeys: [sigma],
    stakeIndices: {
      nonSignerQuorumBitmapIndices: [1],
      quorumApkIndices: [2, 3],
      totalStakeIndices: [4, 5],
      nonSignerStakeIndices: [[6], []],
    },
    offchainDerivationVersion: 0,
  };
  const abi = encodeCertificateAbi(v4);
  expect(encodeCertificateAbi({ ...v3, version: 4 }).length).toBe(2240);
  expect(decodeCertificateAbi(abi)).toEqual({ ok: true, value: v4 });
  expect(decoded(encodeCertificate(v4))).toEqual(v4);
});

it("refuses an ABI certificate with any word changed into another that is not the same certificate, and never throws", () => {
  const abi = encodeCertificateAbi(v3);
  for (let index = 0; index < abi.length; index += 7) {
    const changed = Uint8Array.from(abi);
    changed[index] = changed[index]! ^ 0x41;
    const result = decodeCertificateAbi(changed);
    if (result.ok) expect(encodeCertificateAbi(result.value)).toEqual(changed);
  }
  for (const bytes of [new Uint8Array(), abi.subarray(0, 200), Uint8Array.from([...abi, 0]), v3Bytes]) {
    expect(decodeCertificateAbi(bytes)).toMatchObject({ ok: false });
  }
});

it("asks the verifier in force at the reference block, with the certificate in ABI form", async () => {
  const standIn: StandIn = { head, certVersion: 3, calls: [] };
  expect(await onChain(v3, standIn)).toMatchObject({ ok: true, level: "onChain" });
  const [route, , check] = standIn.calls.map((data) => decodeFunctionData({ abi: eigenDaAbi, data }));
  expect(route).toMatchObject({ functionName: "getCertVerifierAt", args: [v3.referenceBlockNumber] });
  expect(check).toMatchObject({ args: [bytesToHex(encodeCertificateAbi(v3))] });
});

it("tells refusal, a node that is behind, and a chain that does not answer apart", async () => {
  expect(await onChain(v3, { head, certVersion: 4, calls: [] })).toMatchObject({
    ok: false,
    reason: "The verifier takes V4 certificates; this one is V3.",
  });
  expect(await onChain(v3, { head, certVersion: 3, status: 6, calls: [] })).toMatchObject({ ok: false });
  await expect(onChain(v3, { head: head - 1n, certVersion: 3, calls: [] })).rejects.toMatchObject({
    kind: "notReady",
    retryable: true,
  });
  for (const broken of [{ status: 7 }, { status: 0 }, { isDown: true }]) {
    await expect(onChain(v3, { head, certVersion: 3, calls: [], ...broken })).rejects.toMatchObject({
      kind: "failover",
    });
  }
});

it("fills in the stake indices that the registry gives for the non-signers' ids", async () => {
  const standIn: StandIn = { head, certVersion: 4, calls: [] };
  const certificate: Certificate = { ...v3, version: 4, nonSignerPubkeys: [v3.sigma] };
  const contracts = { retriever: routerAddress, registryCoordinator: routerAddress };
  const filled = await withStakeIndices(standInClient(mainnetSrsAnchor, standIn), contracts, certificate);
  expect(filled.stakeIndices).toEqual({
    nonSignerQuorumBitmapIndices: [11],
    quorumApkIndices: [12, 12],
    totalStakeIndices: [13, 13],
    nonSignerStakeIndices: [[14], [14]],
  });
  const { args } = decodeFunctionData({ abi: eigenDaAbi, data: standIn.calls[0]! });
  expect(args?.slice(1)).toEqual([v3.referenceBlockNumber, "0x0001", [operatorId(v3.sigma)]]);
});

it("takes relay addresses from the registry with TLS alone", async () => {
  const ask = (relayUrl: string) =>
    registryRelayUrl(
      standInClient(mainnetSrsAnchor, { head, certVersion: 4, calls: [], relayUrl }),
      routerAddress,
    )(7);
  expect(await ask("")).toBeNull();
  expect(await ask("relay.example:443")).toBe("https://relay.example:443");
  expect(await ask("https://relay.example")).toBe("https://relay.example");
  for (const given of ["http://relay.example", "http://127.0.0.1:80", "ftp://relay.example", "relay example"])
    await expect(ask(given)).rejects.toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("https://"),
    });
});

function onChain(certificate: Certificate, standIn: StandIn) {
  return verifyCertificate(encodeCertificate(certificate), {
    level: "onChain",
    srs: mainnetSrsAnchor,
    client: standInClient(mainnetSrsAnchor, standIn),
    router: routerAddress,
  });
}

function decoded(bytes: Uint8Array): Certificate {
  const result = decodeCertificate(bytes);
  if (!result.ok) throw new Error(result.reason);
  return result.value;
}
