import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { ModelRuntimeError } from "#runtime/errors";
import type { RenderReply, RenderTask } from "./protocol.ts";

/** Time one rendering may take, in ms. Real templates need a few; the rest is for a loaded machine. */
export const renderMsMax = 5_000;

/** Time the worker may take to start, in ms: it loads a few small files. */
const startMsMax = 60_000;

/** Renderings that may wait for the worker. */
export const renderQueueMax = 256;

/** Memory of the worker: one that needs more ends, and only the rendering at hand is lost. */
const resourceLimits = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16, stackSizeMb: 2 };

/** Renders templates of unknown authors in a thread of its own, one at a time, within limits of time and memory. */
export interface TemplateRenderer extends AsyncDisposable {
  /** @throws ChatTemplateError; see its codes. */
  render(task: RenderTask): Promise<string>;
  close(): Promise<void>;
}

/** The thread starts with the first rendering and does not keep the process alive. */
export function createTemplateRenderer(options: { renderMsMax?: number } = {}): TemplateRenderer {
  const timeoutMs = options.renderMsMax ?? renderMsMax;
  let worker: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let [waiting, isClosed] = [0, false];
  const end = async () => {
    const ended = worker;
    worker = undefined;
    await ended?.terminate();
  };
  const ask = async (task: RenderTask): Promise<RenderReply> => {
    if (worker === undefined) {
      worker = create();
      await hear(worker, startMsMax);
    }
    worker.postMessage(task);
    return hear(worker, timeoutMs);
  };
  const run = async (task: RenderTask): Promise<string> => {
    if (isClosed) throw new ChatTemplateError("template-closed", "the renderer is closed");
    const reply = await ask(task).catch(async (error: unknown) => {
      await end(); // It is stuck or gone; the next task gets a new one.
      throw error;
    });
    if (reply.kind === "text") return reply.text;
    throw new ChatTemplateError(`template-${reply.kind}`, reply.reason);
  };
  const close = async () => {
    isClosed = true;
    await end();
  };
  return {
    render: async (task) => {
      if (waiting >= renderQueueMax) {
        throw new ChatTemplateError("template-queue-full", `${renderQueueMax} renderings wait already`);
      }
      waiting++;
      const result = last.then(() => run(task));
      last = result.catch(() => undefined); // Each caller has its own error; the next one only waits.
      return result.finally(() => waiting--);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function create(): Worker {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { resourceLimits });
  worker.unref();
  // A failure while nothing waits for it shows at the next rendering, which hears of the exit.
  worker.on("error", () => undefined);
  return worker;
}

/** The worker's next message. It keeps the process alive as long as somebody waits for it. */
async function hear(worker: Worker, timeoutMs: number): Promise<RenderReply> {
  const done = new AbortController();
  const { signal } = done;
  const timer = setTimeout(() => done.abort(), timeoutMs);
  worker.ref();
  try {
    const message = once(worker, "message", { signal });
    const exit = once(worker, "exit", { signal }).then(() => Promise.reject(new ChatTemplateMemoryError()));
    const [reply] = await Promise.race([message, exit]);
    return reply as RenderReply;
  } catch (error) {
    if (error instanceof ChatTemplateError) throw error;
    if (signal.aborted)
      throw new ChatTemplateError("template-timeout", `it takes longer than ${timeoutMs} ms`);
    if (isMemory(error)) throw new ChatTemplateMemoryError(error);
    throw new ChatTemplateError(
      "template-failed",
      error instanceof Error ? error.message : String(error),
      error,
    );
  } finally {
    clearTimeout(timer);
    done.abort();
    worker.unref();
  }
}

function isMemory(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
}

/**
 * A chat template that gave no text. Codes: `template-missing` (the folder has none), `template-refused` (the
 * template itself refuses these messages), `template-failed` (it is no Jinja, or breaks on them),
 * `template-timeout`, `template-memory`, `template-invalid` (messages or template out of range), `template-closed`
 * and, retryable, `template-queue-full`.
 */
export class ChatTemplateError extends ModelRuntimeError {
  constructor(code: string, reason: string, cause?: unknown) {
    super(code, `Chat template: ${reason}.`, { cause, retryable: code === "template-queue-full" });
  }
}

class ChatTemplateMemoryError extends ChatTemplateError {
  constructor(cause?: unknown) {
    super("template-memory", "it needs more memory than it may have", cause);
  }
}
