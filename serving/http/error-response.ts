import type { ContentfulStatusCode } from "hono/utils/http-status";
import { ModelRuntimeError } from "#runtime/index";
import { PipelineError } from "#schema/errors";
import { requestsMax } from "../constants.ts";
import { PaymentRequiredError } from "../payment/payment-required.ts";
import { ChatRequestError } from "./chat-request.ts";

/** OpenAI's error body; a 402 carries the payment's details beside it. */
export type ErrorBody = {
  error: { message: string; type: string; param: string | null; code: string | null };
};

/** Status and body for whatever stopped a request. What we do not know says nothing about our inside. */
export function toErrorResponse(error: unknown): { status: ContentfulStatusCode; body: ErrorBody } {
  if (error instanceof PaymentRequiredError) {
    const body = { ...bodyOf("payment_required", error.code, error.message), ...error.details };
    return { status: 402, body };
  }
  if (error instanceof ChatRequestError) {
    return { status: 400, body: bodyOf("invalid_request_error", error.code, error.message, error.param) };
  }
  if (error instanceof ModelNotFoundError) {
    return { status: 404, body: bodyOf("invalid_request_error", error.code, error.message, "model") };
  }
  if (error instanceof OverloadedError) {
    return { status: 429, body: bodyOf("rate_limit_error", error.code, error.message) };
  }
  if (error instanceof PipelineError || error instanceof ModelRuntimeError) {
    if (!error.retryable)
      return { status: 400, body: bodyOf("invalid_request_error", error.code, error.message) };
    return { status: 503, body: bodyOf("server_error", error.code, error.message) };
  }
  return {
    status: 500,
    body: bodyOf("server_error", "internal", "The node failed to answer. You were not charged."),
  };
}

function bodyOf(type: string, code: string, message: string, param: string | null = null): ErrorBody {
  return { error: { message, type, param, code } };
}

export class ModelNotFoundError extends PipelineError {
  override readonly name = "ModelNotFoundError";
  constructor(model: string) {
    super(`model ${JSON.stringify(model)} is not served here; see /v1/models.`, {
      code: "model_not_found",
      retryable: false,
    });
  }
}

export class NotReadyError extends PipelineError {
  override readonly name = "NotReadyError";
  constructor() {
    super("the node waits for its model's registration to be final. Try again.", {
      code: "not_ready",
      retryable: true,
    });
  }
}

export class OverloadedError extends PipelineError {
  override readonly name = "OverloadedError";
  constructor() {
    super(`too many requests in the house. Max: ${requestsMax}. Try again.`, {
      code: "overloaded",
      retryable: true,
    });
  }
}
