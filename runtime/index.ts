/** Public face of the library. Everything else may change. */
export { ModelClosedError, ModelRuntimeError } from "./errors.ts";
export { WeightMismatchError } from "./families/weight-claims.ts";
export type { Reduction } from "./gradients/gradient-graph.ts";
export {
  type ExampleGradient,
  type GradientOptions,
  type Gradients,
  openGradients,
  type Queries,
} from "./gradients/gradients.ts";
export { projection } from "./gradients/projection.ts";
export {
  type Device,
  DeviceBusyError,
  DeviceInexactError,
  DeviceUnavailableError,
} from "./inference/device.ts";
export type { GeneratedToken, Generation } from "./inference/generate.ts";
export { QueueFullError, WorkerCrashedError } from "./inference/pool.ts";
export type { ExecutionProfile } from "./inference/profile.ts";
export type { WeightMode } from "./inference/session-options.ts";
export { type Adapter, AdapterError, type LoraModule, scaleOf } from "./lora/adapter.ts";
export { readAdapter, writeAdapter } from "./lora/adapter-folder.ts";
export { type CombineMethod, combinationError, combine, type WeightedAdapter } from "./lora/combine.ts";
export { mergeAndSave } from "./lora/merge-weights.ts";
export { MemoryLimitError } from "./memory.ts";
export { logProbRequestsMax, type Model, openModel } from "./model.ts";
export { AdapterKnownError, AdapterUnknownError, type LoadedAdapter } from "./multi-lora/adapter-bank.ts";
export type { OpenOptions } from "./open-options.ts";
export { InvalidRequestError } from "./request.ts";
export {
  type AdapterChoice,
  ContextExceededError,
  type GenerateRequest,
  type LogProbRequest,
} from "./tasks.ts";
export { type GeneratedText, generateText, type TextRequest } from "./text/generate-text.ts";
export {
  encodePrompt,
  foldSpaces,
  type Prompt,
  promptTokens,
  renderAnswer,
  renderPrompt,
  type TextPart,
} from "./text/prompt.ts";
export { type Chat, type ChatTemplate, openChatTemplate } from "./text/template/chat-template.ts";
export { ChatTemplateError } from "./text/template/renderer.ts";
export {
  createTextStream,
  StopStringError,
  type TextStream,
  type TextStreamOptions,
} from "./text/text-stream.ts";
export { readTokenizer, type Tokenizer, TokenizerError } from "./text/tokenizer.ts";
export { type AdamW, adamWDefaults } from "./training/adamw.ts";
export { CheckpointError } from "./training/checkpoint.ts";
export { type AdapterSettings, createAdapter, initialAdapter } from "./training/initial-adapter.ts";
export {
  type OptimizerMeans,
  OptimizerMeansError,
  readOptimizerMeans,
  writeOptimizerMeans,
} from "./training/optimizer-means.ts";
export { type Example, ExampleError } from "./training/packing.ts";
export { promptedExample } from "./training/prompted-example.ts";
export { learningRate, type Schedule } from "./training/schedule.ts";
export { type TrainSettings, TrainSettingsError } from "./training/settings.ts";
export { type Evaluation, type Training, type TrainOptions, train, type Waypoint } from "./training/train.ts";
export { ModelFolderError } from "./weights/json-file.ts";
export { ModelConfigError } from "./weights/model-config.ts";
export { hashAdapter, hashArtifact } from "./weights/model-files.ts";
export { readModelFolder } from "./weights/model-folder.ts";
export { type QuantisedFolder, quantiseFolder } from "./weights/quantise-folder.ts";
export { WeightFileError } from "./weights/safetensors.ts";
