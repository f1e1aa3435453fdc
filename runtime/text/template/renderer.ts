import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { ModelRuntimeError } from "#runtime/errors";
import type { RenderReply, RenderTask } from "./protocol.ts";

/** Time one rendering may take, in ms. Real templates need a few; the rest is for a loaded machine. */
export const renderMsMax = 5_000;

/** Time the process may take to start, in ms: it loads a few small files. */
const startMsMax = 60_000;

/** Renderings that may wait for the process. */
export const renderQueueMax = 256;

/**
 * Memory of the process, in MiB. A template that needs more ends it, and only the rendering at hand is lost. In a
 * worker thread it could end the caller: V8 aborts the whole process where one large string does not fit.
 */
const limits = ["--max-old-space-size=128", "--max-semi-space-size=16"];

/** The process reads its own code, and Node refuses it all else: writing, other processes, addons. */
const permissions = ["--permission", "--allow-fs-read=*"];
const canRefuse = process.allowedNodeEnvironmentFlags.has("--permission");
const execArgv = canRefuse ? [...limits, ...permissions] : limits;

/** Renders templates of unknown authors in a process of its own, one at a time, within limits of time and memory. */
export interface TemplateRenderer extends AsyncDisposable {
  /** @throws ChatTemplateError; see its codes. */
  render(task: Omit<RenderTask, "timeoutMs">): Promise<string>;
  close(): Promise<void>;
}

/** The process starts with the first rendering and does not keep its parent alive. */
export function createTemplateRenderer(options: { renderMsMax?: number } = {}): TemplateRenderer {
  const timeoutMs = options.renderMsMax ?? renderMsMax;
  let child: ChildProcess | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let [waiting, isClosed] = [0, false];
  const end = async () => {
    const ended = child;
    child = undefined;
    if (!ended || hasEnded(ended)) return;
    const exit = once(ended, "exit");
    ended.ref();
    ended.kill("SIGKILL");
    await exit;
  };
  const ask = async (task: Omit<RenderTask, "timeoutMs">): Promise<RenderReply> => {
    if (child === undefined || hasEnded(child)) {
      child = create();
      await hear(child, startMsMax);
    }
    child.send({ ...task, timeoutMs } satisfies RenderTask, ignoreFailure);
    return hear(child, timeoutMs);
  };
  const run = async (task: Omit<RenderTask, "timeoutMs">): Promise<string> => {
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

function create(): ChildProcess {
  const child = fork(new URL("./process.ts", import.meta.url), {
    execArgv,
    env: {}, // Neither secrets nor Node's options of this process are for that one.
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  release(child);
  child.on("error", ignoreFailure);
  return child;
}

/** Whether it is no more, or never was. */
function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

/** A failure of the process shows where somebody waits for it: it exits. */
function ignoreFailure(): undefined {
  return undefined;
}

/** Let this process end though the other is there. */
function release(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
}

/** The process's next message. It keeps this one alive as long as somebody waits for it. */
async function hear(child: ChildProcess, timeoutMs: number): Promise<RenderReply> {
  const done = new AbortController();
  const { signal } = done;
  const timer = setTimeout(() => done.abort(), timeoutMs);
  child.ref();
  child.channel?.ref();
  try {
    const message = once(child, "message", { signal });
    const exit = once(child, "exit", { signal }).then(([code, killedBy]) => {
      throw killedBy === "SIGABRT" || code === 134
        ? new ChatTemplateMemoryError()
        : new Error(`the process ended: ${killedBy ?? code}`);
    });
    const [reply] = await Promise.race([message, exit]);
    return reply as RenderReply;
  } catch (error) {
    if (error instanceof ChatTemplateError) throw error;
    if (signal.aborted)
      throw new ChatTemplateError("template-timeout", `it takes longer than ${timeoutMs} ms`);
    throw new ChatTemplateError(
      "template-failed",
      error instanceof Error ? error.message : String(error),
      error,
    );
  } finally {
    clearTimeout(timer);
    done.abort();
    release(child);
  }
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
  constructor() {
    super("template-memory", "it needs more memory than it may have");
  }
}
