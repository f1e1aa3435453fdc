import { afterAll, beforeAll, expect, it } from "vitest";
import { samplePayload, startTestDisperser } from "../testing/disperser.ts";
import { startProxyStandIn } from "../testing/proxy-server.ts";
import { retrievePayload } from "./blob-source.ts";
import { ProxyClient } from "./proxy-client.ts";

let setup: Awaited<ReturnType<typeof startTestDisperser>>;
let proxy: Awaited<ReturnType<typeof startProxyStandIn>>;
let client: ProxyClient;

beforeAll(async () => {
  setup = await startTestDisperser();
  proxy = await startProxyStandIn(setup.client);
  client = new ProxyClient({ url: proxy.url, srs: setup.srs, callMsMax: 120_000 });
});
afterAll(async () => {
  await client.close();
  await proxy[Symbol.asyncDispose]();
  await setup[Symbol.asyncDispose]();
});

it("puts a payload, verifies the certificate, and gets the payload back from proxy and relay", async () => {
  const payload = samplePayload(150);
  const certificate = await client.put(payload);
  expect(await client.get(certificate)).toEqual(payload);
  expect(await setup.relay.retrieve(certificate)).toEqual(payload);
  expect(await retrievePayload(certificate, [client])).toMatchObject({ payload, servedBy: "proxy" });
});

it("refuses a changed certificate, another payload's, and changed bytes, before anything is returned", async () => {
  const [payload, other] = [samplePayload(150), samplePayload(151)];
  const certificate = await client.put(payload);
  const flip = (index: number) => (bytes: Uint8Array) => {
    const changed = Uint8Array.from(bytes);
    changed[index] = changed[index]! ^ 1;
    return changed;
  };
  for (const change of [flip(100), flip(60), () => certificate, () => new Uint8Array(3)]) {
    proxy.control.change = change;
    await expect(client.put(other)).rejects.toMatchObject({ kind: "mismatch" });
  }
  for (const change of [flip(5), flip(40), () => new Uint8Array(64 * 32 + 1)]) {
    proxy.control.change = change;
    await expect(client.get(certificate)).rejects.toMatchObject({ kind: "mismatch" });
  }
  proxy.control.change = (bytes) => bytes;
});

it("tells the proxy's answers apart", async () => {
  const certificate = await client.put(samplePayload(9));
  const kinds = {
    400: "invalid",
    403: "invalid",
    404: "failover",
    418: "mismatch",
    429: "failover",
    503: "failover",
  };
  for (const [status, kind] of Object.entries(kinds)) {
    proxy.control.status = Number(status);
    await expect(client.get(certificate)).rejects.toMatchObject({ kind, retryable: kind === "failover" });
  }
  // An error page may be longer than the blob that was asked for.
  proxy.control.errorText = "overloaded ".repeat(10_000);
  proxy.control.status = 503;
  await expect(client.get(certificate)).rejects.toMatchObject({ kind: "failover", retryable: true });
  proxy.control.status = 200;
  await using gone = new ProxyClient({ url: "http://127.0.0.1:1", srs: setup.srs });
  await expect(gone.get(certificate)).rejects.toMatchObject({ kind: "failover" });
  expect(() => new ProxyClient({ url: "https://proxy.example", srs: setup.srs })).toThrow(
    "refused outside loopback",
  );
  const reason = new Error("left");
  await expect(client.get(certificate, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
