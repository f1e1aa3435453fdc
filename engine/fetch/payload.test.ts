import { bytesToHex, type Hex, keccak256 } from "viem";
import { expect, it } from "vitest";
import { samplePayload, startTestDisperser } from "#eigenda/testing/disperser";
import { fetchPayload } from "./payload.ts";

it("takes a relay's wrong or missing answer as passing until the last try, another content as lasting", async () => {
  await using da = await startTestDisperser();
  const bytes = samplePayload(40);
  const { certificate } = await da.client.disperse(bytes);
  const onChain = { daCommitment: bytesToHex(certificate), contentHash: keccak256(bytes) as Hex };
  const fetching = (isLastTry: boolean) =>
    fetchPayload((given) => da.relay.retrieve(given), onChain, isLastTry);
  expect(await fetching(false)).toMatchObject({ ok: true, bytes });
  const other = { ...onChain, contentHash: keccak256("0x01") };
  const refused = await fetchPayload((given) => da.relay.retrieve(given), other, false);
  expect(refused).toMatchObject({ ok: false, code: "content_hash" });
  da.server.faults.add("corrupt");
  await expect(fetching(false)).rejects.toMatchObject({ kind: "mismatch" });
  expect(await fetching(true)).toMatchObject({ ok: false, code: "da_mismatch" });
  da.server.faults.delete("corrupt");
  await da.server[Symbol.asyncDispose]();
  await expect(fetching(false)).rejects.toMatchObject({ kind: "failover" });
  expect(await fetching(true)).toMatchObject({ ok: false, code: "da_unavailable" });
});
