/** The end of each page in `docs/contracts/`: every function, event and error of ours, with its NatSpec. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { invariant } from "#schema/errors";
import { rootDir } from "./forge.ts";

/** Page → the contracts it is about, by source. */
const pages = {
  AttributionLedger: [["AttributionLedger", "AttributionLedger"]],
  ChannelEscrow: [
    ["ChannelEscrow", "ChannelEscrow"],
    ["Erc3009DepositCollector", "Erc3009DepositCollector"],
  ],
  DaCertAnchor: [
    ["DaCertAnchor", "DaCertAnchor"],
    ["DaCertMirror", "DaCertMirror"],
  ],
  DatanetDao: [
    ["DatanetDao", "DatanetDao"],
    ["DatanetDao", "DatanetDaoFactory"],
  ],
  DatanetRegistry: [["DatanetRegistry", "DatanetRegistry"]],
  Governance: [
    ["Governance", "Permissions"],
    ["Governance", "TributaryGovernor"],
  ],
  ModelProposals: [
    ["ModelProposals", "ModelProposals"],
    ["CurveFactory", "CurveFactory"],
    ["ModelCurve", "ModelCurve"],
  ],
  ModelRegistry: [["ModelRegistry", "ModelRegistry"]],
  OpenToken: [
    ["OpenToken", "OpenToken"],
    ["OpenToken", "WrappedOpen"],
  ],
  RewardDistributor: [["RewardDistributor", "RewardDistributor"]],
  SettlementHub: [["SettlementHub", "SettlementHub"]],
  StakeVault: [["StakeVault", "StakeVault"]],
} as const;

/** Interfaces of a contract that are not named after it. */
const bases: Record<string, string[]> = {
  DatanetRegistry: ["IDatanetAccess"],
  SettlementHub: ["IReceiptFaults"],
  Erc3009DepositCollector: ["IChannelEscrow"],
};

type Parameter = {
  name: string;
  type: string;
  internalType?: string;
  indexed?: boolean;
  components?: Parameter[];
};
type Item = { type: string; name?: string; inputs?: Parameter[]; outputs?: Parameter[] };
type Notice = { notice?: string; details?: string };
type Notices = Record<string, Notice | Notice[]>;
type Metadata = {
  output: Record<"userdoc" | "devdoc", { methods?: Notices; events?: Notices; errors?: Notices }>;
  settings: { compilationTarget: Record<string, string> };
};
type Artifact = { abi: Item[]; metadata: Metadata | undefined };

const outDir = join(rootDir, "contracts", "out");
const marker = "\n<!-- From here on written by `node contracts/abi.ts`. -->\n";

/** Path → text of every page, the part above the marker as it stands. */
export function references(): Map<string, string> {
  const foreign = foreignItems();
  return new Map(
    Object.entries(pages).map(([page, contracts]) => {
      const path = join(rootDir, "docs", "contracts", `${page}.md`);
      const [prose] = readFileSync(path, "utf8").split(marker);
      const parts = contracts.map(([source, contract]) => partOf(source, contract, foreign));
      return [path, `${prose!.trimEnd()}\n${marker}${parts.join("")}`];
    }),
  );
}

function partOf(source: string, contract: string, foreign: ReadonlySet<string>): string {
  const artifact = readArtifact(`${source}.sol`, `${contract}.json`);
  const notices = noticesOf(artifact, contract);
  const list = (title: string, type: string) => {
    const items = artifact.abi.filter((item) => item.type === type && !foreign.has(keyOf(item)));
    if (items.length === 0) return "";
    const untold = items.filter((item) => type !== "function" && !notices.has(canonical(item)));
    invariant(untold.length === 0, `${contract} says what ${untold.map(canonical).join(" and ")} mean`);
    const lines = items.map((item) => `- \`${declarationOf(item)}\`${noticeOf(item, notices)}\n`);
    return `\n**${title}**\n\n${lines.join("")}`;
  };
  const text = list("Functions", "function") + list("Events", "event") + list("Errors", "error");
  invariant(text !== "", `${contract} has something of ours`);
  return `\n## ${contract}\n${text}`;
}

/** The compiler gives events and errors no text in a contract that inherits them: it is taken of where they are declared. */
function noticesOf(artifact: Artifact, contract: string): Map<string, string> {
  const names = [`I${contract}`, ...(bases[contract] ?? [])];
  const declaring = names
    .filter((name) => existsSync(join(outDir, `${name}.sol`)))
    .map((name) => readArtifact(`${name}.sol`, `${name}.json`));
  const texts = new Map<string, string>();
  for (const { metadata } of [artifact, ...declaring]) {
    for (const doc of [metadata!.output.userdoc, metadata!.output.devdoc]) {
      for (const [key, given] of Object.entries({ ...doc.methods, ...doc.events, ...doc.errors })) {
        const { notice, details } = Array.isArray(given) ? given[0]! : given;
        const text = notice ?? details;
        if (text !== undefined && !texts.has(key)) texts.set(key, text);
      }
    }
  }
  return texts;
}

/** What our contracts have from OpenZeppelin: described there. */
function foreignItems(): Set<string> {
  const keys = new Set<string>();
  for (const folder of readdirSync(outDir)) {
    if (!folder.endsWith(".sol")) continue;
    for (const file of readdirSync(join(outDir, folder))) {
      const { abi, metadata } = readArtifact(folder, file);
      const isForeign = Object.keys(metadata?.settings.compilationTarget ?? {})[0]?.startsWith(
        "node_modules/",
      );
      if (isForeign) for (const item of abi) keys.add(keyOf(item));
    }
  }
  return keys;
}

function readArtifact(folder: string, file: string): Artifact {
  const { abi, rawMetadata } = JSON.parse(readFileSync(join(outDir, folder, file), "utf8"));
  // The compiler's own text: forge's `metadata` beside it lost the events and errors.
  return { abi, metadata: rawMetadata ? JSON.parse(rawMetadata) : undefined };
}

function keyOf(item: Item): string {
  return `${item.type} ${canonical(item)}`;
}

/** name(types), as NatSpec and selectors have it. */
function canonical({ name, inputs = [] }: Item): string {
  return `${name}(${inputs.map(typeOf).join(",")})`;
}

function typeOf({ type, components }: Parameter): string {
  if (components === undefined) return type;
  return `(${components.map(typeOf).join(",")})${type.slice("tuple".length)}`;
}

function declarationOf({ name, inputs = [], outputs = [] }: Item): string {
  const results = outputs.length === 0 ? "" : ` → ${outputs.map(parameterOf).join(", ")}`;
  return `${name}(${inputs.map(parameterOf).join(", ")})${results}`;
}

/** Structs, contracts and enumerations by their names in the source. */
function parameterOf({ name, type, internalType, indexed }: Parameter): string {
  const written = internalType?.replace(/^(struct|contract|enum) /, "").replace(/^\w+\./, "") ?? type;
  return [written, indexed ? "indexed" : "", name].filter((word) => word !== "").join(" ");
}

function noticeOf(item: Item, notices: ReadonlyMap<string, string>): string {
  const notice = notices.get(canonical(item));
  return notice === undefined ? "" : `: ${notice}`;
}
