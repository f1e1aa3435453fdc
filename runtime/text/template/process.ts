import { createContext, Script } from "node:vm";
import { invariant } from "#runtime/errors";
import { type ParsedTemplate, parseTemplate, renderParsed, TemplateRefusal } from "./interpreter.ts";
import { type RenderReply, type RenderTask, renderedCharactersMax } from "./protocol.ts";

invariant(process.send, "this file runs as a child process");
const send = process.send.bind(process);

/** The template at hand; a process mostly renders one. */
let parsed: { text: string; template: ParsedTemplate } | undefined;

process.on("message", (task: RenderTask) => send(renderWithin(task)));
process.on("disconnect", () => process.exit());
send("ready");

/** The parent ends this process after `timeoutMs`. A parent that is gone cannot: then this does, so that nothing spins on. */
function renderWithin(task: RenderTask): RenderReply {
  const context = createContext({ work: () => render(task) });
  return new Script("work()").runInContext(context, { timeout: 2 * task.timeoutMs });
}

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
