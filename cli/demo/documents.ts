import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { PipelineError } from "#schema/errors";
import { chunkMarkdown } from "./chunking.ts";

/** One document, already cut. `source` is what a question calls it. */
export type Document = { source: string; path: string; chunks: string[] };

/** What one contributor submits to one Datanet: `contributor` is the label its development key derives from. */
export type Submission = { contributor: string; datanet: string; license: string; documents: Document[] };

/** Most chunks taken of one document, documents of one submission, submissions of the whole and of the thinnest. */
export type Limits = {
  chunksPerDocument: number;
  documentsPerSubmission: number;
  submissions: number;
  thinSubmissions: number;
};

/** Keep the demo in minutes. */
export const limits: Limits = {
  chunksPerDocument: 6,
  documentsPerSubmission: 8,
  submissions: 60,
  thinSubmissions: 3,
};
/** Larger files are lists or logs rather than prose, in bytes. */
const fileBytesMax = 200_000;

type Manifest = {
  name?: string;
  license?: unknown;
  author?: unknown;
  contributors?: unknown;
  maintainers?: unknown;
};

/**
 * The Markdown documentation inside the installed packages, by author. Packages the product runs on form one
 * Datanet, those it is built with the other; npm's own record of the installation tells which.
 * @throws DocumentsMissingError without an installation.
 */
export function readPackageDocuments(nodeModules: string, most = limits): Submission[] {
  const installed = readInstalled(join(nodeModules, ".package-lock.json"));
  const byKey = new Map<string, Submission>();
  for (const [path, { dev, optional, link }] of installed) {
    const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1];
    if (name === undefined || optional || link) continue; // Optional: for some machines only. Linked: our own.
    const folder = join(nodeModules, name);
    const manifest = readManifest(folder);
    if (!manifest) continue;
    const documents = markdownOf(folder).map((file) =>
      readDocument(nodeModules, file, { source: name, most }),
    );
    add(byKey, {
      contributor: authorOf(manifest) ?? name,
      datanet: dev ? "tools" : "libraries",
      license: typeof manifest.license === "string" ? manifest.license : "NOASSERTION",
      documents,
    });
  }
  return finish([...byKey.values()], most);
}

/**
 * A folder of Markdown with `author:` in its front matter (say, Ethereum's improvement proposals), one contributor
 * per first author. Two Datanets by the front matter's `type:`: standards, and the rest.
 */
export function readFolderDocuments(folder: string, most = limits): Submission[] {
  const byKey = new Map<string, Submission>();
  for (const file of listMarkdown(folder, 2)) {
    const text = readFileSync(file, "utf8");
    const author = /^author:\s*([^,<(\n]+)/m.exec(text)?.[1]?.trim();
    if (author === undefined) continue;
    const name = /([^/]+)\.md$/.exec(file)![1]!.toUpperCase();
    add(byKey, {
      contributor: author,
      datanet: /^type:\s*Standards/m.test(text) ? "standards" : "process",
      license: "CC0-1.0",
      documents: [readDocument(folder, file, { source: name, most })],
    });
  }
  return finish([...byKey.values()], most);
}

/**
 * Those with most documents, and a few of the thinnest so that validators have something to refuse; in the order of
 * contributor and Datanet.
 */
function finish(submissions: Submission[], most: Limits): Submission[] {
  const ranked = submissions
    .map((submission) => ({
      ...submission,
      documents: submission.documents.filter(({ chunks }) => chunks.length > 0),
    }))
    .filter(({ documents }) => documents.length > 0)
    .sort((a, b) => chunkCount(b) - chunkCount(a) || byName(a, b));
  if (ranked.length === 0) throw new DocumentsMissingError();
  const thin = ranked.slice(most.submissions).slice(-most.thinSubmissions);
  return [...ranked.slice(0, most.submissions), ...thin]
    .map((submission) => ({
      ...submission,
      documents: submission.documents.slice(0, most.documentsPerSubmission),
    }))
    .sort(byName);
}

function chunkCount({ documents }: Submission): number {
  return documents.reduce((sum, { chunks }) => sum + chunks.length, 0);
}

function byName(a: Submission, b: Submission): number {
  return (
    compare(a.contributor, b.contributor) || compare(a.datanet, b.datanet) || compare(a.license, b.license)
  );
}

function add(byKey: Map<string, Submission>, submission: Submission): void {
  const key = `${submission.datanet}\n${submission.license}\n${submission.contributor}`;
  const known = byKey.get(key);
  if (!known) byKey.set(key, submission);
  else known.documents.push(...submission.documents);
}

function readDocument(
  root: string,
  file: string,
  { source, most }: { source: string; most: Limits },
): Document {
  const chunks = chunkMarkdown(readFileSync(file, "utf8")).slice(0, most.chunksPerDocument);
  return { source, path: relative(root, file), chunks };
}

/** README first, then docs/, in the order of their names; what is written for machines or lawyers is left out. */
function markdownOf(folder: string): string[] {
  const readme = readdirSync(folder).find((name) => /^readme\.(md|markdown)$/i.test(name));
  const docs = join(folder, "docs");
  return [...(readme ? [join(folder, readme)] : []), ...(exists(docs) ? listMarkdown(docs, 2) : [])].filter(
    (path) => statSync(path).size <= fileBytesMax,
  );
}

function listMarkdown(folder: string, depth: number): string[] {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => compare(a.name, b.name));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return depth > 1 ? listMarkdown(path, depth - 1) : [];
    return /\.md$/i.test(entry.name) && !/^(licen[cs]e|changelog|history)/i.test(entry.name) ? [path] : [];
  });
}

function authorOf(manifest: Manifest): string | undefined {
  const people = [manifest.author, firstOf(manifest.contributors), firstOf(manifest.maintainers)];
  for (const person of people) {
    const name = typeof person === "string" ? person : (person as { name?: unknown } | undefined)?.name;
    const bare = typeof name === "string" ? name.replace(/[<(].*$/, "").trim() : "";
    if (bare !== "") return bare;
  }
  return undefined;
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : undefined;
}

type Installed = { dev?: boolean; optional?: boolean; link?: boolean };

function readInstalled(path: string): [string, Installed][] {
  if (!exists(path)) throw new DocumentsMissingError();
  return Object.entries<Installed>(JSON.parse(readFileSync(path, "utf8")).packages);
}

function readManifest(folder: string): Manifest | undefined {
  const path = join(folder, "package.json");
  return exists(path) ? (JSON.parse(readFileSync(path, "utf8")) as Manifest) : undefined;
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export class DocumentsMissingError extends PipelineError {
  override readonly name = "DocumentsMissingError";
  constructor() {
    super("Found no Markdown with an author. Run `npm ci`, or give a folder of it: --datanet <folder>.", {
      code: "documents_missing",
      retryable: false,
    });
  }
}
