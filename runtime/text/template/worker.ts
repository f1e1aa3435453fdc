import { parentPort } from "node:worker_threads";
import { invariant } from "#runtime/errors";
import { type ParsedTemplate, parseTemplate, renderParsed, TemplateRefusal } from "./interpreter.ts";
import { type RenderReply, type RenderTask, renderedCharactersMax } from "./protocol.ts";

invariant(parentPort, "this file runs as a worker");
const port = parentPort;

/** The template at hand; a worker mostly renders one. */
let parsed: { text: string; template: ParsedTemplate } | undefined;

port.on("message", (task: RenderTask) => port.postMessage(render(task)));
port.postMessage("ready");

function render({ template, variables, nowMs }: RenderTask): RenderReply {
  try {
    if (parsed?.text !== template) parsed = { text: template, template: parseTemplate(template) };
    const text = renderParsed(parsed.template, variables, new Date(nowMs));
    if (text.length <= renderedCharactersMax) return { kind: "text", text };
    return { kind: "failed", reason: `the text is longer than ${renderedCharactersMax} characters` };
  } catch (error) {
    // Whatever a template does to the interpreter is its fault, stack overflow included.
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: error instanceof TemplateRefusal ? "refused" : "failed", reason: reason.slice(0, 500) };
  }
}
