/** Part of the machine's memory that the threads of a pool may take together; the rest is the database's and the system's. */
const memoryShare = 0.6;
/** Memory of one thread beside its weights: arena, prompts, tokenizer. */
const threadBytes = 256 * 1024 * 1024;
/** Copies of the weights a thread may hold while it opens the model: as read, and as packed. */
const weightCopies = 2;
const threadsMax = 64;

/** Threads of a pool: one per core, as many as fit into memory, at least one. */
export function poolSize(machine: { cores: number; memoryBytes: number; modelBytes: number }): number {
  const { cores, memoryBytes, modelBytes } = machine;
  const fitting = Math.floor((memoryBytes * memoryShare) / (modelBytes * weightCopies + threadBytes));
  return Math.max(1, Math.min(cores, fitting, threadsMax));
}
