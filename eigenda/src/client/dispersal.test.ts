import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { keccak256 } from "viem";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { certificateHash } from "../certificate/certificate.ts";
import { verifyCertificate } from "../certificate/verify.ts";
import { payloadBytesMax } from "../codec/payload.ts";
import { EigenDaError } from "../errors.ts";
import { mainnetSrsAnchor } from "../kzg/mainnet-srs.ts";
import { accountKey, samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { checkEndpoint } from "./channel.ts";
import { type BlobStatusName, DisperserClient, type DisperserClientOptions } from "./disperser-client.ts";
import { RelayClient } from "./relay-client.ts";

let setup: Awaited<ReturnType<typeof startTestDisperser>>;
beforeAll(async () => {
  setup = await startTestDisperser({ hasNonSigner: true }, { completeMsMax: 5_000, attemptsMax: 3 });
});
beforeEach(() => setup.server.faults.clear());
afterAll(() => setup[Symbol.asyncDispose]());

it("disperses, verifies and retrieves payloads of every size, with a non-signer in the attestation", async () => {
  for (const bytes of [0, 1, 31, 32, 1000, payloadBytesMax(64)]) {
    const payload = samplePayload(bytes);
    const dispersal = await setup.client.disperse(payload);
    expect(dispersal.certificateHash).toBe(certificateHash(dispersal.certificate));
    expect(dispersal.payloadHash).toBe(keccak256(payload));
    const verdict = await verifyCertificate(dispersal.certificate, {
      level: "inclusion+signature",
      srs: setup.srs,
    });
    expect(verdict).toMatchObject({ ok: true, blobKey: dispersal.blobKey, signer: setup.client.account });
    expect(await setup.relay.retrieve(dispersal.certificate)).toEqual(payload);
  }
});

it("puts concurrent blobs into one batch, each with its own proof", async () => {
  const payloads = Array.from({ length: 5 }, (_, index) => samplePayload(100 + index));
  const dispersals = await Promise.all(payloads.map((payload) => setup.client.disperse(payload)));
  expect(new Set(dispersals.map(({ blobKey }) => blobKey)).size).toBe(5);
  for (const [index, { certificate }] of dispersals.entries()) {
    expect(await setup.relay.retrieve(certificate)).toEqual(payloads[index]);
  }
});

it("gives one payload two blob keys when it is dispersed twice", async () => {
  const [first, second] = await Promise.all([1, 2].map(() => setup.client.disperse(samplePayload(10))));
  expect(first!.blobKey).not.toBe(second!.blobKey);
  expect(first!.commitment).toBe(second!.commitment);
});

it("reports each status in order", async () => {
  const statuses: BlobStatusName[] = [];
  await setup.client.disperse(samplePayload(5), { onStatus: ({ status }) => statuses.push(status) });
  const order: BlobStatusName[] = ["QUEUED", "ENCODED", "GATHERING_SIGNATURES", "COMPLETE"];
  expect(statuses).toEqual(order.filter((status) => statuses.includes(status)));
  expect(statuses.at(-1)).toBe("COMPLETE");
});

it("refuses a blob with one flipped bit before a byte is returned", async () => {
  const { certificate } = await setup.client.disperse(samplePayload(200));
  setup.server.faults.add("corrupt");
  await expect(setup.relay.retrieve(certificate)).rejects.toMatchObject({
    kind: "mismatch",
    retryable: false,
  });
});

it("reads from the second relay when the first is unknown or gives wrong bytes", async () => {
  const payload = samplePayload(60);
  const { certificate } = await setup.client.disperse(payload);
  await using wrong = await startTestDisperser();
  await using relay = new RelayClient({
    relayUrl: (key) => (key === 0 ? wrong.server.url : setup.server.url),
    srs: setup.srs,
  });
  expect(await relay.retrieve(certificate)).toEqual(payload);
  await using lost = new RelayClient({ relayUrl: () => null, srs: setup.srs });
  await expect(lost.retrieve(certificate)).rejects.toMatchObject({ kind: "failover", retryable: true });
});

it("says failover when the relay has lost the blob", async () => {
  const { certificate } = await setup.client.disperse(samplePayload(61));
  setup.server.faults.add("not-found");
  await expect(setup.relay.retrieve(certificate)).rejects.toMatchObject({ kind: "failover" });
});

it("refuses to retrieve by bytes that are no certificate", async () => {
  await expect(setup.relay.retrieve(new Uint8Array(10))).rejects.toMatchObject({ kind: "invalid" });
});

it("gives up a blob that fails each time, after the attempts allowed, each under a new key", async () => {
  setup.server.faults.add("failed");
  const keys = new Set<string>();
  const given = setup.client.disperse(samplePayload(7), { onStatus: ({ blobKey }) => keys.add(blobKey) });
  await expect(given).rejects.toMatchObject({ kind: "failover", retryable: true });
  expect(keys.size).toBe(3);
});

it("disperses again when too little stake signed, and succeeds once enough does", async () => {
  setup.server.faults.add("below-threshold");
  const attempts: number[] = [];
  const onStatus = ({ status, attempt }: { status: BlobStatusName; attempt: number }) => {
    attempts.push(attempt);
    if (status === "COMPLETE") setup.server.faults.clear();
  };
  const payload = samplePayload(8);
  const { certificate } = await setup.client.disperse(payload, { onStatus });
  expect(Math.max(...attempts)).toBe(2);
  expect(await setup.relay.retrieve(certificate)).toEqual(payload);
});

it("says notReady when a blob does not finish in time", async () => {
  setup.server.faults.add("slow");
  const { url } = setup.server;
  const options = {
    url,
    accountKey,
    chainId: 31337n,
    srs: setup.srs,
    pollMs: 5,
    completeMsMax: 50,
    attemptsMax: 1,
  };
  await using client = new DisperserClient(options);
  await expect(client.disperse(samplePayload(9))).rejects.toMatchObject({
    kind: "notReady",
    retryable: true,
  });
});

it("makes a new attempt when an accepted blob is not known again and again, long before its time is up", async () => {
  setup.server.faults.add("lost");
  const options = { url: setup.server.url, accountKey, chainId: 31337n, srs: setup.srs, pollMs: 5 };
  const sentAt: bigint[] = [];
  const clock = () => {
    sentAt.push(BigInt(Date.now()) * 1_000_000n + BigInt(sentAt.length));
    return sentAt.at(-1)!;
  };
  await using client = new DisperserClient({ ...options, attemptsMax: 2, nowNs: clock });
  await expect(client.disperse(samplePayload(12))).rejects.toMatchObject({
    kind: "failover",
    retryable: true,
    message: expect.stringContaining("did not know it 20 times in a row"),
  });
  expect(sentAt).toHaveLength(2);
});

it("asks for the blob instead of sending it again when the reply was lost", async () => {
  setup.server.faults.add("lost-reply");
  const accepted = () => readdir(join(setup.folder, "data", "accepted"));
  const before = await accepted();
  const keys = new Set<string>();
  const payload = samplePayload(77);
  const { certificate, blobKey } = await setup.client.disperse(payload, {
    onStatus: (event) => keys.add(`${event.attempt} ${event.blobKey}`),
  });
  expect([...keys]).toEqual([`1 ${blobKey}`]);
  expect(await accepted()).toHaveLength(before.length + 1);
  expect(await setup.relay.retrieve(certificate)).toEqual(payload);
});

it("asks once more before it sends again, when the server could not be asked at first", async () => {
  setup.server.faults.add("lost-reply").add("lost");
  const accepted = () => readdir(join(setup.folder, "data", "accepted"));
  const before = await accepted();
  const dispersing = setup.client.disperse(samplePayload(78));
  while ((await accepted()).length === before.length) await sleep(5);
  await sleep(100);
  setup.server.faults.clear();
  await dispersing;
  expect(await accepted()).toHaveLength(before.length + 1);
});

it("follows what it sent first, where a second attempt is refused and the server then knows the first", async () => {
  setup.server.faults.add("lost-reply").add("lost");
  const accepted = () => readdir(join(setup.folder, "data", "accepted"));
  const before = await accepted();
  let sends = 0;
  const nowNs = () => {
    const aheadMs = ++sends === 2 ? 60_000 : 0;
    if (sends === 2) setup.server.faults.clear();
    return BigInt(Date.now() + aheadMs) * 1_000_000n + BigInt(sends);
  };
  const options = { url: setup.server.url, accountKey, chainId: 31337n, srs: setup.srs, pollMs: 5 };
  await using client = new DisperserClient({ ...options, nowNs });
  const payload = samplePayload(79);
  const { certificate } = await client.disperse(payload);
  expect(sends).toBe(2);
  expect(await accepted()).toHaveLength(before.length + 1);
  expect(await setup.relay.retrieve(certificate)).toEqual(payload);
});

it("holds back dispersals above its number, and refuses those above the number that may wait", async () => {
  const options = { url: setup.server.url, accountKey, chainId: 31337n, srs: setup.srs, pollMs: 5 };
  await using client = new DisperserClient({ ...options, concurrentMax: 1, waitingMax: 1 });
  const given = [1, 2, 3].map((size) => client.disperse(samplePayload(size)));
  const [first, second, third] = await Promise.allSettled(given);
  expect([first!.status, second!.status]).toEqual(["fulfilled", "fulfilled"]);
  expect(third).toMatchObject({ status: "rejected", reason: { kind: "failover", retryable: true } });
});

it("takes an option that is undefined as its default, and refuses numbers out of range", async () => {
  const options = { url: setup.server.url, accountKey, chainId: 31337n, srs: setup.srs };
  const unset = { attemptsMax: undefined, pollMs: undefined, quorums: undefined, nowNs: undefined };
  await using client = new DisperserClient({ ...options, ...unset } as unknown as typeof options);
  expect(await client.disperse(samplePayload(13))).toMatchObject({ length: 2 });
  const changes: Partial<DisperserClientOptions>[] = [
    { attemptsMax: 0 },
    { attemptsMax: Number.NaN },
    { attemptsMax: Number.POSITIVE_INFINITY },
    { pollMs: -1 },
    { rpcMsMax: 2 ** 31 },
    { thresholdPercent: 101 },
    { quorums: [] },
    { quorums: [0, 0] },
    { quorums: [256] },
  ];
  for (const change of changes) {
    const make = () => new DisperserClient({ ...options, ...change });
    expect(make).toThrow(expect.objectContaining({ kind: "invalid", retryable: false }));
    expect(make).toThrow(Object.keys(change)[0]!);
  }
});

it("refuses plaintext outside loopback under every SRS, and says to use https", () => {
  for (const host of ["relay.example:80", "192.0.2.1", "127.0.0.1.example"])
    for (const srs of [mainnetSrsAnchor, setup.srs])
      expect(() => checkEndpoint(`http://${host}`, srs)).toThrow(
        expect.objectContaining({ kind: "invalid", message: expect.stringContaining("https://") }),
      );
  expect(checkEndpoint("https://relay.example", mainnetSrsAnchor)).toMatchObject({ isTls: true });
  expect(checkEndpoint("http://127.0.0.1:80", mainnetSrsAnchor)).toMatchObject({ isTls: false });
});

it("stops at once with the signal's reason when aborted", async () => {
  setup.server.faults.add("slow");
  const abort = new AbortController();
  const reason = new Error("the caller left");
  const given = setup.client.disperse(samplePayload(9), {
    signal: abort.signal,
    onStatus: () => abort.abort(reason),
  });
  await expect(given).rejects.toBe(reason);
  await expect(setup.client.disperse(samplePayload(9), { signal: AbortSignal.abort(reason) })).rejects.toBe(
    reason,
  );
});

it("says failover when nobody listens", async () => {
  const options = { url: "http://127.0.0.1:1", accountKey, chainId: 31337n, srs: setup.srs, attemptsMax: 1 };
  await using client = new DisperserClient(options);
  const failure = await client.disperse(samplePayload(9)).catch((error) => error);
  expect(failure).toBeInstanceOf(EigenDaError);
  expect(failure).toMatchObject({ kind: "failover", retryable: true });
});

it("reads the account's payment state as often as asked", async () => {
  for (let time = 0; time < 2; time++) {
    expect(await setup.client.paymentState()).toMatchObject({
      symbolsMin: 4096n,
      reservation: { quorumNumbers: [0, 1] },
    });
  }
});
