import { z } from "zod";
import { type ArchiveOptions, directoryStore, type S3Options, s3Store } from "#eigenda/index";

/** Where blobs are kept beyond DA's 14 days: a folder, a bucket of an S3-compatible store, both, or neither. */
export const archiveSettings = {
  ARCHIVE_FOLDER: z.string().min(1).optional(),
  /** The bucket's URL, path-style or with the bucket in the host. It stands in the log, so it holds no credentials. */
  ARCHIVE_S3_URL: z
    .url({ protocol: /^https?$/ })
    .refine(isBare, "a bucket's URL has neither user nor password, query nor fragment")
    .optional(),
  ARCHIVE_S3_REGION: z.string().min(1).default("us-east-1"),
  ARCHIVE_S3_ACCESS_KEY_ID: z.string().min(1).optional(),
  ARCHIVE_S3_SECRET_ACCESS_KEY: z.string().min(1).optional(),
};

function isBare(text: string): boolean {
  if (!URL.canParse(text)) return true; // Said already.
  const { username, password, search, hash } = new URL(text);
  return `${username}${password}${search}${hash}` === "";
}

type ArchiveSettings = z.output<z.ZodObject<typeof archiveSettings>>;

const bucketSettings = [
  "ARCHIVE_S3_URL",
  "ARCHIVE_S3_ACCESS_KEY_ID",
  "ARCHIVE_S3_SECRET_ACCESS_KEY",
] as const;

/** A bucket takes all of its settings. */
export function checkArchiveSettings(settings: ArchiveSettings, context: z.RefinementCtx): void {
  const missing = bucketSettings.filter((name) => settings[name] === undefined);
  if (missing.length === bucketSettings.length) return;
  for (const name of missing)
    context.addIssue({
      code: "custom",
      path: [name],
      message: `an archive in a bucket needs ${bucketSettings.join(", ")}`,
    });
}

/** Settings that were checked. The secret is in the bucket's options and nowhere else. */
export type ArchivePlaces = { folder: string | null; bucket: S3Options | null };

export function archivePlaces(settings: ArchiveSettings): ArchivePlaces {
  const { ARCHIVE_S3_URL: url, ARCHIVE_S3_ACCESS_KEY_ID: accessKeyId } = settings;
  const secretAccessKey = settings.ARCHIVE_S3_SECRET_ACCESS_KEY;
  const hasBucket = url !== undefined && accessKeyId !== undefined && secretAccessKey !== undefined;
  return {
    folder: settings.ARCHIVE_FOLDER ?? null,
    bucket: hasBucket ? { url, region: settings.ARCHIVE_S3_REGION, accessKeyId, secretAccessKey } : null,
  };
}

/** The stores of these places, the folder first, which is read first; null if there is none. */
export function archiveStores({ folder, bucket }: ArchivePlaces): ArchiveOptions["stores"] | null {
  const [first, ...others] = [folder && directoryStore(folder), bucket && s3Store(bucket)].filter(
    (store) => store !== null && store !== "",
  );
  return first === undefined ? null : [first, ...others];
}
