CREATE SCHEMA "serving";
--> statement-breakpoint
CREATE SCHEMA "engine";
--> statement-breakpoint
CREATE SCHEMA "settlement";
--> statement-breakpoint
CREATE TABLE "serving"."answer" (
	"receipt_digest" text PRIMARY KEY NOT NULL,
	"sequence" bigint GENERATED ALWAYS AS IDENTITY (sequence name "serving"."answer_sequence_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"channel_id" text NOT NULL,
	"model_id" text NOT NULL,
	"cumulative_charged_wei" numeric(78,0) NOT NULL,
	"fee_wei" numeric(78,0) NOT NULL,
	"receipt" jsonb NOT NULL,
	"signature" text NOT NULL,
	"disclosure" text NOT NULL,
	"response" jsonb NOT NULL,
	"batch_key" text,
	CONSTRAINT "answer_sequence_unique" UNIQUE("sequence")
);
--> statement-breakpoint
CREATE TABLE "serving"."batch_run" (
	"receipts_root" text PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"sequence" integer NOT NULL,
	"payload" text NOT NULL,
	"content_hash" text NOT NULL,
	"submission" jsonb NOT NULL,
	"da_commitment" text,
	"tx_hash" text,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "batch_run_sequence_unique" UNIQUE("sequence")
);
--> statement-breakpoint
CREATE TABLE "serving"."channel_state" (
	"channel_id" text PRIMARY KEY NOT NULL,
	"charged_wei" numeric(78,0) NOT NULL,
	"voucher_max_wei" numeric(78,0) NOT NULL,
	"voucher_signature" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "engine"."adapter" (
	"model_id" text PRIMARY KEY NOT NULL,
	"base_model_id" text NOT NULL,
	"artifact_hash" text NOT NULL,
	"content_hash" text NOT NULL,
	"state" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "engine"."candidate" (
	"receipt_digest" text NOT NULL,
	"rank" integer NOT NULL,
	"chunk_id" text NOT NULL,
	"score_micro" bigint NOT NULL,
	"in_context" boolean NOT NULL,
	CONSTRAINT "candidate_receipt_digest_rank_pk" PRIMARY KEY("receipt_digest","rank")
);
--> statement-breakpoint
CREATE TABLE "engine"."chunk" (
	"id" text PRIMARY KEY NOT NULL,
	"contribution_id" bigint NOT NULL,
	"datanet_id" bigint NOT NULL,
	"index" integer NOT NULL,
	"contributor" text NOT NULL,
	"source" text NOT NULL,
	"text" text NOT NULL,
	"text_hash" text NOT NULL,
	"leaf" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "engine"."cursor" (
	"name" text PRIMARY KEY NOT NULL,
	"chain_id" bigint NOT NULL,
	"last_event_id" text NOT NULL,
	"last_block_hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "engine"."dead_letter" (
	"job_id" text PRIMARY KEY NOT NULL,
	"queue" text NOT NULL,
	"data" jsonb NOT NULL,
	"code" text NOT NULL,
	"reason" text NOT NULL,
	"tries" integer NOT NULL,
	"failed_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "engine"."duplicate" (
	"chunk_id" text PRIMARY KEY NOT NULL,
	"first_chunk_id" text NOT NULL,
	"novelty_wad" numeric(78,0) NOT NULL
);
--> statement-breakpoint
CREATE TABLE "engine"."faithfulness" (
	"artifact_hash" text NOT NULL,
	"engine_version" integer NOT NULL,
	"measure" text NOT NULL,
	"value" double precision NOT NULL,
	"low" double precision,
	"high" double precision,
	"unit" text NOT NULL,
	"seed_count" integer NOT NULL,
	"conditions" text NOT NULL,
	CONSTRAINT "faithfulness_artifact_hash_engine_version_measure_pk" PRIMARY KEY("artifact_hash","engine_version","measure")
);
--> statement-breakpoint
CREATE TABLE "engine"."influence" (
	"receipt_digest" text NOT NULL,
	"method_hash" text NOT NULL,
	"player" text NOT NULL,
	"rank" integer NOT NULL,
	"chunk_id" text NOT NULL,
	"score_wad" numeric(78,0) NOT NULL,
	"standard_error_wad" numeric(78,0) NOT NULL,
	"estimator" text NOT NULL,
	CONSTRAINT "influence_receipt_digest_method_hash_player_chunk_id_pk" PRIMARY KEY("receipt_digest","method_hash","player","chunk_id")
);
--> statement-breakpoint
CREATE TABLE "engine"."payload" (
	"content_hash" text PRIMARY KEY NOT NULL,
	"kind" integer NOT NULL,
	"blob_key" text NOT NULL,
	"bytes" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "engine"."receipt" (
	"digest" text PRIMARY KEY NOT NULL,
	"batch_id" bigint NOT NULL,
	"index" integer NOT NULL,
	"request_id" text NOT NULL,
	"payer" text NOT NULL,
	"node" text NOT NULL,
	"model_id" text NOT NULL,
	"adapter_set" text NOT NULL,
	"fee_wei" numeric(78,0) NOT NULL,
	"pool_wei" numeric(78,0) NOT NULL,
	"channel_id" text NOT NULL,
	"cumulative_charged_wei" numeric(78,0) NOT NULL,
	"prompt_tokens" integer NOT NULL,
	"completion_tokens" integer NOT NULL,
	"served_at" bigint NOT NULL,
	"input_commit" text NOT NULL,
	"output_commit" text NOT NULL,
	"retrieval_commit" text NOT NULL,
	"params_hash" text NOT NULL,
	"profile_hash" text NOT NULL,
	"provenance_mode" integer NOT NULL,
	"signature" text NOT NULL,
	"disclosure" text NOT NULL,
	"question" text,
	"answer" text
);
--> statement-breakpoint
CREATE TABLE "engine"."refusal" (
	"event_id" text PRIMARY KEY NOT NULL,
	"subject" text NOT NULL,
	"code" text NOT NULL,
	"reason" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "engine"."score" (
	"receipt_digest" text NOT NULL,
	"method_hash" text NOT NULL,
	"method" text NOT NULL,
	"value_base_wad" numeric(78,0) NOT NULL,
	"value_context_wad" numeric(78,0) NOT NULL,
	"value_adapter_wad" numeric(78,0) NOT NULL,
	"value_both_wad" numeric(78,0) NOT NULL,
	"data_share_wad" numeric(78,0) NOT NULL,
	"unexplained_wad" numeric(78,0) NOT NULL,
	CONSTRAINT "score_receipt_digest_method_hash_pk" PRIMARY KEY("receipt_digest","method_hash")
);
--> statement-breakpoint
CREATE TABLE "engine"."span" (
	"receipt_digest" text NOT NULL,
	"index" integer NOT NULL,
	"occurrence" integer NOT NULL,
	"answer_start" integer NOT NULL,
	"answer_end" integer NOT NULL,
	"chunk_id" text NOT NULL,
	"source_start" integer NOT NULL,
	"source_end" integer NOT NULL,
	"surprise_micro" numeric(78,0) NOT NULL,
	"occurrence_count" integer NOT NULL,
	CONSTRAINT "span_receipt_digest_index_occurrence_pk" PRIMARY KEY("receipt_digest","index","occurrence")
);
--> statement-breakpoint
CREATE TABLE "engine"."training_record" (
	"model_id" text NOT NULL,
	"index" integer NOT NULL,
	"chunk_id" text NOT NULL,
	"passes_gate" boolean,
	"gate_sum_micro" numeric(78,0),
	"gate_count" integer,
	CONSTRAINT "training_record_model_id_index_pk" PRIMARY KEY("model_id","index")
);
--> statement-breakpoint
CREATE TABLE "settlement"."carried" (
	"epoch_id" bigint NOT NULL,
	"model_id" text NOT NULL,
	"amount_wei" numeric(78,0) NOT NULL,
	CONSTRAINT "carried_epoch_id_model_id_pk" PRIMARY KEY("epoch_id","model_id")
);
--> statement-breakpoint
CREATE TABLE "settlement"."entry" (
	"epoch_id" bigint NOT NULL,
	"receipt_digest" text NOT NULL,
	"index" integer NOT NULL,
	"role" integer NOT NULL,
	"subject" text NOT NULL,
	"contribution_id" bigint NOT NULL,
	"account" text NOT NULL,
	"score_wad" numeric(78,0) NOT NULL,
	"amount_wei" numeric(78,0) NOT NULL,
	"reason" integer NOT NULL,
	"leaf" text NOT NULL,
	CONSTRAINT "entry_epoch_id_receipt_digest_index_pk" PRIMARY KEY("epoch_id","receipt_digest","index")
);
--> statement-breakpoint
CREATE TABLE "settlement"."epoch_run" (
	"epoch_id" bigint PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"method_hash" text NOT NULL,
	"from_block" bigint NOT NULL,
	"to_block" bigint NOT NULL,
	"receipts_accumulator" text NOT NULL,
	"reward_root" text NOT NULL,
	"attribution_root" text NOT NULL,
	"root_total_wei" numeric(78,0) NOT NULL,
	"fees_wei" numeric(78,0) NOT NULL,
	"splits_wei" numeric(78,0) NOT NULL,
	"carried_wei" numeric(78,0) NOT NULL,
	"payload" text NOT NULL,
	"content_hash" text NOT NULL,
	"da_commitment" text,
	"da_ref" text,
	"propose_tx" text,
	"finalize_tx" text,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "settlement"."left_out" (
	"epoch_id" bigint NOT NULL,
	"batch_id" bigint NOT NULL,
	"code" text NOT NULL,
	CONSTRAINT "left_out_epoch_id_batch_id_pk" PRIMARY KEY("epoch_id","batch_id")
);
--> statement-breakpoint
CREATE TABLE "settlement"."reputation" (
	"epoch_id" bigint NOT NULL,
	"account" text NOT NULL,
	"datanet_id" bigint NOT NULL,
	"role" text NOT NULL,
	"good_micro" numeric(78,0) NOT NULL,
	"bad_micro" numeric(78,0) NOT NULL,
	"attenuation_wad" numeric(78,0) NOT NULL,
	"peer_prediction_micro" numeric(78,0),
	CONSTRAINT "reputation_epoch_id_account_datanet_id_role_pk" PRIMARY KEY("epoch_id","account","datanet_id","role")
);
--> statement-breakpoint
CREATE TABLE "settlement"."reward" (
	"epoch_id" bigint NOT NULL,
	"account" text NOT NULL,
	"cumulative_wei" numeric(78,0) NOT NULL,
	"leaf" text NOT NULL,
	CONSTRAINT "reward_epoch_id_account_pk" PRIMARY KEY("epoch_id","account")
);
--> statement-breakpoint
CREATE TABLE "settlement"."slash_proposal" (
	"epoch_id" bigint NOT NULL,
	"account" text NOT NULL,
	"datanet_id" bigint NOT NULL,
	"score_milli" numeric(78,0) NOT NULL,
	"evidence" jsonb NOT NULL,
	CONSTRAINT "slash_proposal_epoch_id_account_datanet_id_pk" PRIMARY KEY("epoch_id","account","datanet_id")
);
--> statement-breakpoint
CREATE TABLE "settlement"."standing" (
	"epoch_id" bigint NOT NULL,
	"model_id" text NOT NULL,
	"account" text NOT NULL,
	"attenuation_wad" numeric(78,0) NOT NULL,
	CONSTRAINT "standing_epoch_id_model_id_account_pk" PRIMARY KEY("epoch_id","model_id","account")
);
--> statement-breakpoint
CREATE INDEX "answer_batch_key_index" ON "serving"."answer" USING btree ("batch_key");--> statement-breakpoint
CREATE INDEX "candidate_chunk_id_index" ON "engine"."candidate" USING btree ("chunk_id");--> statement-breakpoint
CREATE INDEX "chunk_datanet_id_index" ON "engine"."chunk" USING btree ("datanet_id");--> statement-breakpoint
CREATE INDEX "chunk_contribution_id_index" ON "engine"."chunk" USING btree ("contribution_id");--> statement-breakpoint
CREATE INDEX "duplicate_first_chunk_id_index" ON "engine"."duplicate" USING btree ("first_chunk_id");--> statement-breakpoint
CREATE INDEX "influence_chunk_id_index" ON "engine"."influence" USING btree ("chunk_id");--> statement-breakpoint
CREATE INDEX "receipt_batch_id_index" ON "engine"."receipt" USING btree ("batch_id");--> statement-breakpoint
CREATE INDEX "receipt_model_id_index" ON "engine"."receipt" USING btree ("model_id");--> statement-breakpoint
CREATE INDEX "receipt_payer_index" ON "engine"."receipt" USING btree ("payer");--> statement-breakpoint
CREATE INDEX "span_chunk_id_index" ON "engine"."span" USING btree ("chunk_id");--> statement-breakpoint
CREATE INDEX "training_record_chunk_id_index" ON "engine"."training_record" USING btree ("chunk_id");--> statement-breakpoint
CREATE INDEX "entry_account_index" ON "settlement"."entry" USING btree ("account");--> statement-breakpoint
CREATE INDEX "entry_subject_index" ON "settlement"."entry" USING btree ("subject");--> statement-breakpoint
CREATE INDEX "entry_receipt_digest_index" ON "settlement"."entry" USING btree ("receipt_digest");--> statement-breakpoint
CREATE INDEX "reputation_account_index" ON "settlement"."reputation" USING btree ("account");--> statement-breakpoint
CREATE INDEX "reward_account_index" ON "settlement"."reward" USING btree ("account");--> statement-breakpoint
CREATE INDEX "standing_account_index" ON "settlement"."standing" USING btree ("account");