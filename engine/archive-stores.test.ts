import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { Archive, retrievePayload } from "#eigenda/index";
import { samplePayload, startTestDisperser } from "#eigenda/testing/disperser";
import { s3Credentials, startS3StandIn } from "#eigenda/testing/s3-server";
import { archivePlaces, archiveSettings, archiveStores, checkArchiveSettings } from "./archive-stores.ts";

const settings = z.object(archiveSettings).superRefine(checkArchiveSettings).transform(archivePlaces);
const bucket = {
  ARCHIVE_S3_URL: "https://s3.example/archive",
  ARCHIVE_S3_ACCESS_KEY_ID: "id",
  ARCHIVE_S3_SECRET_ACCESS_KEY: "secret",
};

let setup: Awaited<ReturnType<typeof startTestDisperser>>;
let folder: string;

beforeAll(async () => {
  [setup, folder] = await Promise.all([startTestDisperser(), mkdtemp(join(tmpdir(), "archive-stores-"))]);
});
afterAll(async () => {
  await setup[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it("keeps blobs in a folder, a bucket, both or nowhere, as the settings say", () => {
  const names = (env: Record<string, string>) => archiveStores(settings.parse(env))?.map(({ name }) => name);
  expect(names({})).toBeUndefined();
  expect(names({ ARCHIVE_FOLDER: "/kept" })).toEqual(["folder /kept"]);
  expect(names(bucket)).toEqual(["bucket https://s3.example/archive"]);
  expect(names({ ...bucket, ARCHIVE_FOLDER: "/kept" })).toEqual([
    "folder /kept",
    "bucket https://s3.example/archive",
  ]);
});

it("names each setting of a bucket that is missing or wrong, and says no secret", () => {
  for (const missing of Object.keys(bucket)) {
    const { [missing as keyof typeof bucket]: _, ...rest } = bucket;
    const { error } = settings.safeParse(rest);
    expect(error?.issues.map(({ path }) => path)).toEqual([[missing]]);
    expect(error?.message).not.toContain(bucket.ARCHIVE_S3_SECRET_ACCESS_KEY);
  }
  for (const url of [
    "s3://archive",
    "archive",
    "https://id:secret@s3.example/archive",
    "https://s3.example/a?k=secret",
  ]) {
    const { error } = settings.safeParse({ ...bucket, ARCHIVE_S3_URL: url });
    expect(error?.issues.map(({ path }) => path)).toEqual([["ARCHIVE_S3_URL"]]);
    expect(error?.message).not.toContain("secret");
  }
});

it("archives to a bucket that checks signatures (a stand-in), reads back, and names wrong credentials", async () => {
  await using s3 = await startS3StandIn();
  const env = {
    ARCHIVE_S3_URL: s3.url,
    ARCHIVE_S3_REGION: s3Credentials.region,
    ARCHIVE_S3_ACCESS_KEY_ID: s3Credentials.accessKeyId,
    ARCHIVE_S3_SECRET_ACCESS_KEY: s3Credentials.secretAccessKey,
  };
  const { srs, relay } = setup;
  const open = (given: Record<string, string>) =>
    new Archive({ stores: archiveStores(settings.parse(given))!, srs, source: relay });
  const { certificate } = await setup.client.disperse(samplePayload(100));
  await using archive = open({ ...env, ARCHIVE_FOLDER: folder });
  await archive.add(certificate);
  expect((await archive.sweep()).entries).toMatchObject([{ missing: [] }]);
  await using elsewhere = open(env);
  expect(await retrievePayload(certificate, [elsewhere])).toMatchObject({
    payload: samplePayload(100),
    servedBy: `archive bucket ${s3.url}`,
  });
  await using stranger = open({ ...env, ARCHIVE_S3_SECRET_ACCESS_KEY: "wrong" });
  await expect(retrievePayload(certificate, [stranger])).rejects.toThrow("403");
});
