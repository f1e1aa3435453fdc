/** Reads the repository's own TypeScript as syntax trees: imports, function lengths. Used by the tidy test alone. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import ts from "typescript";

export type Source = {
  path: string;
  text: string;
  lines: number;
  /** Repository paths of imported project files, and bare names of packages. */
  imports: string[];
  functions: { name: string; lines: number }[];
};

export const root = join(import.meta.dirname, "..");

const generated =
  /(^|\/)(gen|node_modules)\/|\.generated\.ts$|^schema\/abi\/|^indexer\/(generated\/|ponder-env\.d\.ts)/;

/** Files git knows or would add, so that an editor's scratch file is not judged. Paths relative to the root. */
export function listFiles(): string[] {
  const output = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  return [...new Set(output.split("\n"))].filter((path) => path !== "" && exists(path)).sort();
}

/** Hand-written TypeScript files with their imports and functions. */
export function readSources(paths: string[]): Source[] {
  return paths.filter((path) => path.endsWith(".ts") && !generated.test(path)).map(parse);
}

function parse(path: string): Source {
  const text = readFileSync(join(root, path), "utf8");
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const source: Source = { path, text, lines: text.split("\n").length - 1, imports: [], functions: [] };
  visit(file, (node) => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) source.imports.push(resolve(path, specifier));
    if (ts.isFunctionLike(node) && "body" in node && node.body) source.functions.push(measure(file, node));
  });
  return source;
}

function visit(node: ts.Node, look: (node: ts.Node) => void): void {
  look(node);
  ts.forEachChild(node, (child) => visit(child, look));
}

function specifierOf(node: ts.Node): string | undefined {
  if (
    (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) &&
    node.moduleSpecifier &&
    ts.isStringLiteral(node.moduleSpecifier)
  )
    return node.moduleSpecifier.text;
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const argument = node.arguments[0];
    return argument && ts.isStringLiteral(argument) ? argument.text : undefined;
  }
  return undefined;
}

function resolve(from: string, specifier: string): string {
  if (specifier.startsWith("#eigenda/")) return `eigenda/src/${specifier.slice("#eigenda/".length)}.ts`;
  if (specifier.startsWith("#")) return `${specifier.slice(1)}.ts`;
  if (specifier.startsWith(".")) return normalize(join(dirname(from), specifier));
  return specifier;
}

function measure(file: ts.SourceFile, node: ts.SignatureDeclaration): { name: string; lines: number } {
  const start = file.getLineAndCharacterOfPosition(node.getStart()).line;
  const end = file.getLineAndCharacterOfPosition(node.getEnd()).line;
  const parent = node.parent;
  const name = node.name ?? (parent && ts.isVariableDeclaration(parent) ? parent.name : undefined);
  return { name: name?.getText() ?? `line ${start + 1}`, lines: end - start + 1 };
}

function exists(path: string): boolean {
  return ts.sys.fileExists(join(root, path));
}
