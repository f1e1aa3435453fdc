import { blobSymbolsMax } from "../codec/blob.ts";
import { isPowerOfTwo } from "../curve/field.ts";
import { developmentSrs, developmentSrsAnchor } from "../kzg/development-srs.ts";
import { downloadedSrs } from "../kzg/downloaded-srs.ts";
import { fileSrs, type SrsFiles } from "../kzg/file-srs.ts";
import { mainnetSrsAnchor } from "../kzg/mainnet-srs.ts";
import type { Srs, SrsAnchor } from "../kzg/srs.ts";
import { ArgumentError } from "./argument-error.ts";

type FileOption = "g1" | "g2" | "g2-trailing";

/** Options that say where the SRS comes from; `srs` is the folder where its points are kept. */
export type SrsOptions = {
  srs: string;
  symbols: string;
  anchor: string;
  "srs-url"?: string | undefined;
} & { [Name in FileOption | "sha256" | "g2-sha256" | "g2-trailing-sha256"]?: string | undefined };

const checksumOptions = { g1: "sha256", g2: "g2-sha256", "g2-trailing": "g2-trailing-sha256" } as const;

const anchors: Readonly<Record<string, SrsAnchor>> = {
  mainnet: mainnetSrsAnchor,
  development: developmentSrsAnchor,
};

/**
 * From a server, from files, or else the development SRS. To retrieve, G1 is enough: no G2 points are fetched.
 * @throws ArgumentError for options that do not fit together, saying what is missing; as `downloadedSrs` and `fileSrs`.
 */
export function srsOf(options: SrsOptions, purpose: "disperse" | "retrieve"): Promise<Srs> {
  const anchor = Object.hasOwn(anchors, options.anchor) ? anchors[options.anchor] : undefined;
  if (anchor === undefined)
    throw new ArgumentError(`--anchor is ${Object.keys(anchors).join(" or ")}. Given: ${options.anchor}.`);
  const files = (["g1", "g2", "g2-trailing"] as const).filter(
    (name) => options[name] !== undefined || options[checksumOptions[name]] !== undefined,
  );
  const url = options["srs-url"];
  if (url !== undefined) {
    if (files.length > 0)
      throw new ArgumentError(`--srs-url takes the place of --${files[0]}: give one of them.`);
    const symbolsMax = Number(options.symbols);
    if (!isPowerOfTwo(symbolsMax) || symbolsMax > blobSymbolsMax)
      throw new ArgumentError(
        `--symbols is a power of two up to ${blobSymbolsMax}. Given: ${options.symbols}.`,
      );
    return downloadedSrs({ url, folder: options.srs, symbolsMax, anchor, hasG2: purpose === "disperse" });
  }
  if (files.length === 0) return developmentSrs({ folder: options.srs });
  return fileSrs({ ...filesOf(options, files, purpose), anchor, cacheFolder: options.srs });
}

function filesOf(
  options: SrsOptions,
  given: readonly FileOption[],
  purpose: "disperse" | "retrieve",
): Pick<SrsFiles, "g1" | "g2"> {
  const fileOf = (name: FileOption) => {
    const checksum = checksumOptions[name];
    const [path, sha256] = [options[name], options[checksum]];
    if (path === undefined || sha256 === undefined)
      throw new ArgumentError(`Points from files need --${name}, a file, and --${checksum}, its checksum.`);
    return { path, sha256: sha256.toLowerCase() };
  };
  const g1 = fileOf("g1");
  if (given.length > 1) return { g1, g2: { prefix: fileOf("g2"), trailing: fileOf("g2-trailing") } };
  if (purpose === "disperse")
    throw new ArgumentError(
      "G1 points can retrieve; to disperse, give --g2 and --g2-trailing too, or --srs-url.",
    );
  return { g1 };
}
